// Reads the code blocks of a guide. What a block is for stands behind its language, where readers do not see it:
//
//   ```sh                          run in one shell after the other; folder and variables carry over
//   ```sh expect=text              ... and its output has that text
//   ```sh retry expect=text        ... after a while
//   ```sh then=text                ... and after a while a program in the background prints that, after the block
//   ```sh background until=text    runs on; goes on with the guide when it has printed that
//   ```sql as=superuser            given to psql; as=owner: as the owner of the deployment
//   ```ts file=path                written to that file
//   ```sh needs=program            not run where that program is not installed
//   ```sh skip                     not run: what the tests have done already, or what needs another machine
//
// A value goes up to the next known word or the end of the line.
const WORDS = /\b(skip|retry|background|quiet|expect=|then=|until=|file=|as=|fails=|needs=)/g;

/** The options behind a block's language. */
function options(text) {
  const found = {};
  const places = [...text.matchAll(WORDS)];
  for (const [number, place] of places.entries()) {
    const end = places[number + 1]?.index ?? text.length;
    const [word] = place[0].split("=");
    found[word] = place[0].endsWith("=") ? text.slice(place.index + place[0].length, end).trim() : true;
  }
  return found;
}

/** The blocks of a guide, each with its language, text, options and the line on which it begins. */
export function blocksOf(markdown) {
  const blocks = [];
  let open;
  for (const [number, line] of markdown.split("\n").entries()) {
    if (open !== undefined) {
      if (line === "```") {
        blocks.push({ ...open, text: open.lines.join("\n") });
        open = undefined;
      } else {
        open.lines.push(line);
      }
      continue;
    }
    const fence = /^```(\w+)?(.*)$/.exec(line);
    if (fence !== null) {
      open = { language: fence[1] ?? "text", ...options(fence[2]), line: number + 1, lines: [] };
    }
  }
  return blocks;
}
