// PostGraphile 5 in library mode: amber preset, no watching, no GraphiQL, tokens checked by jsonwebtoken as its guide says.
//
//   node postgraphile.mjs PORT DSN SECRET
import { createServer } from "node:http";
import { grafserv } from "postgraphile/grafserv/node";
import { makePgService } from "postgraphile/adaptors/pg";
import jsonwebtoken from "jsonwebtoken";
import { postgraphile } from "postgraphile";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

const [port, dsn, secret] = process.argv.slice(2);
const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  pgServices: [makePgService({ connectionString: dsn, schemas: ["public"], poolConfig: { max: 10 } })],
  grafserv: { watch: false, graphiql: false, graphqlPath: "/graphql" },
  grafast: {
    explain: false,
    context(requestContext) {
      const authorization = requestContext.node?.req.headers.authorization;
      if (!authorization) return {};
      const claims = jsonwebtoken.verify(authorization.slice("Bearer ".length), secret, { algorithms: ["HS256"] });
      return { pgSettings: { role: claims.role, "request.jwt.claims": JSON.stringify(claims) } };
    },
  },
});
const server = createServer();
await instance.createServ(grafserv).addTo(server);
server.listen(Number(port), "127.0.0.1");
