// A small server as a good Node engineer writes it: fastify, its JWT plug-in with a cache of checked tokens, a pool of
// ten connections of pg, prepared statements by name, the answer's JSON made by PostgreSQL.
//
//   node fastify.mjs PORT DSN SECRET FORM
//
// FORM is `await` (each statement waits for the one before it, the usual form) or `pipeline` (pg's pipeline mode: all
// statements of a transaction are sent at once).
import fastifyJwt from "@fastify/jwt";
import Fastify from "fastify";
import pg from "pg";

const [port, dsn, secret, form] = process.argv.slice(2);
const pool = new pg.Pool({ connectionString: dsn, max: 10, pipeline: form === "pipeline" });
const app = Fastify({ logger: false });
await app.register(fastifyJwt, { secret, verify: { algorithms: ["HS256"], cache: true } });
app.addHook("onRequest", (request) => request.jwtVerify());

const ENTER = {
  name: "enter",
  text: "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)",
};
const LIST = {
  name: "list",
  text: `select coalesce(json_agg(n), '[]')::text as body
           from (select id, title, body, done, created_at from notes order by id desc limit $1) n`,
};
const ONE = {
  name: "one",
  text: `select row_to_json(n)::text as body
           from (select id, title, body, done, created_at from notes where id = $1) n`,
};
const INSERT = {
  name: "insert",
  text: `with made as (insert into notes (title, body) values ($1, $2) returning id, title, body, done, created_at)
         select row_to_json(made)::text as body from made`,
};

async function asCaller(request, statement, values) {
  const client = await pool.connect();
  const enter = { ...ENTER, values: [request.user.role, JSON.stringify(request.user)] };
  try {
    if (form === "pipeline") {
      const [, , answer] = await Promise.all([
        client.query("begin"),
        client.query(enter),
        client.query({ ...statement, values }),
        client.query("commit"),
      ]);
      return answer.rows[0]?.body;
    }
    await client.query("begin");
    await client.query(enter);
    const answer = await client.query({ ...statement, values });
    await client.query("commit");
    return answer.rows[0]?.body;
  } catch (error) {
    await client.query("rollback");
    throw error;
  } finally {
    client.release();
  }
}

app.get("/notes", async (request, reply) => {
  reply.type("application/json; charset=utf-8");
  return asCaller(request, LIST, [Number(request.query.limit ?? 20)]);
});
app.get("/notes/:id", async (request, reply) => {
  const body = await asCaller(request, ONE, [request.params.id]);
  if (body === undefined) return reply.code(404).send({ message: "no such note" });
  return reply.type("application/json; charset=utf-8").send(body);
});
app.post(
  "/notes",
  {
    schema: {
      body: {
        type: "object",
        required: ["title"],
        properties: { title: { type: "string" }, body: { type: "string" } },
      },
    },
  },
  async (request, reply) => {
    const body = await asCaller(request, INSERT, [request.body.title, request.body.body]);
    return reply.code(201).type("application/json; charset=utf-8").send(body);
  },
);
await app.listen({ port: Number(port), host: "127.0.0.1" });
