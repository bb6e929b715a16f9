const string = { fieldType: { type: "string" }, optional: false };
const optional = (fieldType) => ({ fieldType, optional: true });
export default {
  export: () =>
    JSON.stringify({
      schemaValidation: true,
      tables: [
        {
          tableName: "messages",
          documentType: {
            type: "object",
            value: {
              author: string,
              body: string,
              loud: optional({ type: "boolean" }),
              stars: optional({ type: "bigint" }),
              score: optional({ type: "union", value: [{ type: "number" }, { type: "null" }] }),
              tags: optional({ type: "array", value: { type: "string" } }),
              replyTo: optional({ type: "id", tableName: "messages" }),
            },
          },
          indexes: [{ indexDescriptor: "by_author", fields: ["author"] }],
          searchIndexes: [],
          vectorIndexes: [],
        },
      ],
    }),
};
