// Formats values for the console.
import inspect from "object-inspect";

const OPTIONS = { indent: 2, maxStringLength: 32768, customInspect: true };

export default () => ({ inspect: (value) => inspect(value, OPTIONS) });
