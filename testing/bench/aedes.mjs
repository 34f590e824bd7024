// One of several aedes processes that share a Redis: what makes them one broker is
// mqemitter-redis between them and aedes-persistence-redis below them.
// Usage: node aedes.mjs PORT REDIS_PORT
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { Aedes } from 'aedes'

const require = createRequire(import.meta.url)
const [port, redisPort] = process.argv.slice(2).map(Number)
const redis = { host: '127.0.0.1', port: redisPort }

const broker = await Aedes.createBroker({
  mq: require('mqemitter-redis')(redis),
  // By default a session gets no more than 1000 of the messages that wait for it.
  persistence: require('aedes-persistence-redis')({ ...redis, maxSessionDelivery: 10000000 })
})
createServer(broker.handle).listen({ host: '127.0.0.1', port, backlog: 4096 })
process.on('SIGTERM', () => process.exit(0))
