// Compiles Marketplace.sol, and the contract that a lesson robs, with the pinned solc and writes their ABIs and bytecode.
// Usage: node compile.mjs [output file [contract]]; by default both, to contracts/artifacts/.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const contracts = dirname(dirname(fileURLToPath(import.meta.url)));
const settings = JSON.parse(readFileSync(join(contracts, "tools", "solc-settings.json"), "utf8"));

// "... will be promoted to keyword": some later compiler, not the pinned one, will mind OpenZeppelin's names and `leave`.
const FUTURE_KEYWORD = "6335";

/** Paths of all sources below a folder, relative to contracts/, sorted. */
function sourcesIn(folder) {
  return readdirSync(join(contracts, folder), { recursive: true })
    .filter((name) => name.endsWith(".sol"))
    .map((name) => join(folder, name).replaceAll("\\", "/"))
    .sort();
}

/** Standard JSON output of solc for all sources of a folder. */
export function compile(outputSelection, folder = "src") {
  const paths = sourcesIn(folder);
  const solc = require("solc");
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(paths.map((path) => [path, { content: readFileSync(join(contracts, path), "utf8") }])),
    settings: { ...settings, outputSelection },
  };
  const find = (path) => ({ contents: readFileSync(join(contracts, "node_modules", path), "utf8") });
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
  const problems = (output.errors ?? []).filter((problem) => problem.errorCode !== FUTURE_KEYWORD);
  for (const problem of problems) console.error(problem.formattedMessage);
  if (problems.length > 0) throw new Error(`solc reported ${problems.length} problem(s)`);
  return output;
}

const FOLDERS = { Marketplace: "src", Rules2019: "teaching" };

function writeArtifact(name, target) {
  const path = `${FOLDERS[name]}/${name}.sol`;
  const output = compile({ [path]: { [name]: ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } }, FOLDERS[name]);
  const { abi, evm } = output.contracts[path][name];
  const artifact = {
    contractName: name,
    compiler: require("solc").version(),
    settings,
    abi,
    bytecode: "0x" + evm.bytecode.object,
  };
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, JSON.stringify(artifact, null, 1) + "\n");
  console.log(`${relative(process.cwd(), target)}: runtime code ${evm.deployedBytecode.object.length / 2} of 24576 bytes`);
}

function main() {
  const [target, name] = process.argv.slice(2);
  if (target) writeArtifact(name ?? "Marketplace", target);
  else for (const each of Object.keys(FOLDERS)) writeArtifact(each, join(contracts, "artifacts", `${each}.json`));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
