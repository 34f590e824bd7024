// Package client calls the HTTP API of a node, in Go: a method for each operation of
// openapi.yaml that a program or the command line needs. The JSON is package v1.
//
// # Guarantees
//
//   - The token goes to the node that was named and nowhere else: redirects are not
//     followed, proxies of the environment are not used.
//   - An answer that is an error is an [*Error] with the problem's detail; any other error
//     says that the node could not be asked, or what it answered not be understood.
//   - Streams call a function for each event, on the caller's goroutine, and end with
//     their context, the function's error, or the stream.
//
// # Goroutines
//
// Those of net/http alone; [Client.Close] ends idle connections.
//
// It imports package v1 of the module, and nothing else of it.
package client
