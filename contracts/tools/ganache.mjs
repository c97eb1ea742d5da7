// Runs Ganache for as long as its parent lives.
// Reads Ganache's options as one JSON line from standard input, prints {"port", "faucet"} once it listens, and ends
// when standard input closes: however the parent dies, nothing stays behind.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);
const ganache = require("ganache");

const input = createInterface({ input: process.stdin });
input.on("close", () => process.exit(0));
input.once("line", async (line) => {
  const { port, ...options } = JSON.parse(line);
  const server = ganache.server(options);
  try {
    await server.listen(port, "127.0.0.1");
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
  const [faucet] = Object.keys(server.provider.getInitialAccounts());
  console.log(JSON.stringify({ port: server.address().port, faucet }));
});
