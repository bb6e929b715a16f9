// multipart/form-data: a form as bytes, and back.
(function multipart(host, shared) {
  "use strict";

  const { Blob, File, FormData } = shared.use("blob");
  const latin1 = (bytes) => {
    let text = "";
    for (let i = 0; i < bytes.length; i += 0x2000) text += String.fromCharCode(...bytes.subarray(i, i + 0x2000));
    return text;
  };
  const utf8 = (text) => host.decodeUtf8(Uint8Array.from(text, (character) => character.charCodeAt(0)), false);

  const escape = (name) => name.replace(/\n/g, "%0A").replace(/\r/g, "%0D").replace(/"/g, "%22");
  const unescape = (name) => name.replace(/%0A/gi, "\n").replace(/%0D/gi, "\r").replace(/%22/g, '"');
  const lines = (text) => text.replace(/\r\n?|\n/g, "\r\n");

  function encode(form) {
    const random = new Uint8Array(16);
    shared.randomBytes(random);
    const boundary = `----formdata-${random.toHex()}`;
    const parts = [];
    for (const [name, value] of form) {
      parts.push(`--${boundary}\r\nContent-Disposition: form-data; name="${escape(lines(name))}"`);
      if (typeof value === "string") {
        parts.push(`\r\n\r\n${lines(value)}\r\n`);
      } else {
        const type = value.type || "application/octet-stream";
        parts.push(`; filename="${escape(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`, value, "\r\n");
      }
    }
    parts.push(`--${boundary}--\r\n`);
    return { body: new Blob(parts), type: `multipart/form-data; boundary=${boundary}` };
  }

  function decode(bytes, type) {
    const boundary = /;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(type);
    if (boundary === null) throw new TypeError("The form has no boundary");
    const form = new FormData();
    const text = `\r\n${latin1(bytes)}`;
    const parts = text.split(`\r\n--${boundary[1] ?? boundary[2]}`);
    if (parts.length < 2 || !/^--\s*$/.test(parts.at(-1))) throw new TypeError("The form ends before its last boundary");
    for (const part of parts.slice(1, -1)) {
      const end = part.indexOf("\r\n\r\n");
      if (end < 0) throw new TypeError("A part of the form has no end of its header");
      const header = utf8(part.slice(0, end));
      const name = /content-disposition:[^\r\n]*[;\s]name="([^"]*)"/i.exec(header);
      if (name === null) throw new TypeError("A part of the form has no name");
      const content = part.slice(end + 4);
      const filename = /content-disposition:[^\r\n]*[;\s]filename="([^"]*)"/i.exec(header);
      if (filename === null) {
        form.append(unescape(name[1]), utf8(content));
      } else {
        const fileType = /content-type:\s*([^\r\n]+)/i.exec(header)?.[1] ?? "text/plain";
        const data = Uint8Array.from(content, (character) => character.charCodeAt(0));
        form.append(unescape(name[1]), new File([data], unescape(filename[1]), { type: fileType }));
      }
    }
    return form;
  }

  return { encode, decode };
})
