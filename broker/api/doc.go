// Package api is the HTTP listener of a node: health, metrics, the API, streams of
// server-sent events, and the embedded dashboard. openapi.yaml is what it promises, and
// tests hold the handlers to it. The JSON is package v1.
//
// The way of a request: guard.go (headers, Host, Origin, panics) → auth.go (token and
// scope, audit) → routes.go (the table) → a handler, which asks the ports of ports.go.
// Answers about all nodes are put together in cluster.go.
//
// # Guarantees
//
//   - Nothing below /api is answered without a token, on loopback too; a path that is
//     not known to be public needs one. Tokens are compared in constant time, and only
//     their hashes are kept.
//   - A browser's page of another host cannot use it: a Host that is not this listener's
//     is 421, a foreign Origin 403.
//   - Every error is problem+json. Input that is wrong is an answer, whatever it is; a
//     panic is a 500, a log line and nobody else's business.
//   - Every change that is not a message is logged, with the token's name.
//   - A scrape and a look at the node's figures read counters: their cost does not
//     depend on the number of clients. A page of clients looks at all of them and holds
//     no lock for long.
//   - Requests are bounded: headers, body, time, and the number of streams.
//
// # Goroutines
//
// http.Server's, one a connection; [Server.Start] starts it and [Server.Stop] waits for
// all handlers. Streams end when Stop is called. Nothing else runs between requests.
//
// # Imports
//
// router, stats, auth, message, topic and v1: what else a node has comes through the
// ports. Nothing here knows MQTT packets or hooks.
package api
