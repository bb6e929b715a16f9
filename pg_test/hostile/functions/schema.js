export default {
  export: () => JSON.stringify({
    tables: [
      {
        tableName: "notes",
        indexes: [],
        stagedDbIndexes: [],
        searchIndexes: [],
        vectorIndexes: [],
        documentType: {
          type: "object",
          value: {
            text: { fieldType: { type: "string" }, optional: false },
          },
        },
      },
    ],
    schemaValidation: true,
  }),
};
