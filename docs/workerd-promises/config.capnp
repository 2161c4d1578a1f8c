using Workerd = import "/workerd/workerd.capnp";

# `workerd serve config.capnp config`: V8 as it is.
const config :Workerd.Config = (services = .services, sockets = .sockets);

# `workerd serve config.capnp hurried`: V8 compiles at once what has run two or three times.
const hurried :Workerd.Config = (
  services = .services,
  sockets = .sockets,
  v8Flags = [
    "--invocation-count-for-maglev=2", "--invocation-count-for-turbofan=3", "--no-concurrent-recompilation",
  ],
);

const services :List(Workerd.Service) = [(
  name = "main",
  worker = (modules = [(name = "worker.mjs", esModule = embed "worker.mjs")], compatibilityDate = "2026-11-01"),
)];
const sockets :List(Workerd.Socket) = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")];
