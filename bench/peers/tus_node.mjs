// tus-node-server as its README starts it: files in the folder of the first argument, on a free port, which it prints.
import { FileStore } from "@tus/file-store";
import { Server } from "@tus/server";

const server = new Server({ path: "/files", datastore: new FileStore({ directory: process.argv[2] }) });
const listener = server.listen({ host: "127.0.0.1", port: 0 }, () => console.log(`port ${listener.address().port}`));
