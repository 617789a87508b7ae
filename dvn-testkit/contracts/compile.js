// Reads a standard JSON input on stdin, writes the compiler's standard JSON output on stdout.
// Run in a folder whose node_modules holds the pinned compiler.
"use strict";
const { compile } = require("solc");
const input = require("fs").readFileSync(0, "utf8");
process.stdout.write(compile(input));
