// @supabase/lite embedded: its App on its PostgreSQL connection (native row-level security), behind Hono's Node server.
// It reads the columns from information_schema as its own login, which therefore has to own the tables.
//
//   node lite.mjs PORT DSN SECRET
import { serve } from "@hono/node-server";
import { App } from "@supabase/lite";
import { createPostgresConnection } from "@supabase/lite/postgres";

const [port, dsn, secret] = process.argv.slice(2);
const connection = await createPostgresConnection({ url: dsn, postgresOptions: { max: 10 } });
const app = new App({ connection, auth: { enabled: true, jwt_secret: secret } });
serve({ fetch: (request) => app.fetch(request), port: Number(port), hostname: "127.0.0.1" });
