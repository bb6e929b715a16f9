// The streams of the web, and the two of them that encode and decode text.
import {
  ReadableStream,
  ReadableStreamBYOBReader,
  ReadableStreamDefaultReader,
  TransformStream,
  WritableStream,
  WritableStreamDefaultWriter,
} from "web-streams-polyfill";

export default (_host, shared) => {
  const { TextDecoder, TextEncoder } = shared.use("encoding");

  // A stream that passes everything through `transformer`, with the two ends as properties.
  class TextStream {
    #transform;
    constructor(transformer) {
      this.#transform = new TransformStream(transformer);
    }
    get readable() {
      return this.#transform.readable;
    }
    get writable() {
      return this.#transform.writable;
    }
  }

  class TextEncoderStream extends TextStream {
    constructor() {
      // The first half of a surrogate pair waits for the chunk that holds the second.
      let half = "";
      const encoder = new TextEncoder();
      super({
        transform(chunk, controller) {
          let text = half + `${chunk}`;
          half = /[\ud800-\udbff]$/.test(text) ? text.slice(-1) : "";
          text = text.slice(0, text.length - half.length);
          if (text !== "") controller.enqueue(encoder.encode(text));
        },
        flush(controller) {
          if (half !== "") controller.enqueue(encoder.encode(half));
        },
      });
    }
    get encoding() {
      return "utf-8";
    }
    get [Symbol.toStringTag]() {
      return "TextEncoderStream";
    }
  }

  class TextDecoderStream extends TextStream {
    #decoder;
    constructor(label = "utf-8", options = {}) {
      const decoder = new TextDecoder(label, options);
      super({
        transform(chunk, controller) {
          const text = decoder.decode(chunk, { stream: true });
          if (text !== "") controller.enqueue(text);
        },
        flush(controller) {
          const text = decoder.decode();
          if (text !== "") controller.enqueue(text);
        },
      });
      this.#decoder = decoder;
    }
    get encoding() {
      return this.#decoder.encoding;
    }
    get fatal() {
      return this.#decoder.fatal;
    }
    get ignoreBOM() {
      return this.#decoder.ignoreBOM;
    }
    get [Symbol.toStringTag]() {
      return "TextDecoderStream";
    }
  }

  return {
    ReadableStream,
    ReadableStreamBYOBReader,
    ReadableStreamDefaultReader,
    TextDecoderStream,
    TextEncoderStream,
    TransformStream,
    WritableStream,
    WritableStreamDefaultWriter,
  };
};
