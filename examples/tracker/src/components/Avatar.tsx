import type { CSSProperties } from "react";
import { hueOf, initials } from "../lib/person";

/** A coloured disc with a name's initials; decoration only, as the name stands beside it. */
export function Avatar({ name, size = 36 }: { name: string; size?: number }) {
  const style = { "--hue": hueOf(name), "--size": `${size}px` } as CSSProperties;
  return (
    <span className="avatar" style={style} aria-hidden="true">
      {initials(name)}
    </span>
  );
}
