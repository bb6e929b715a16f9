/** The channel of messages that name none. */
export const DEFAULT_CHANNEL = "general";

/** The arguments that name a channel to the server: the default one by absence. */
export function channelArgs(name: string): { channel?: string } {
  return name === DEFAULT_CHANNEL ? {} : { channel: name };
}
