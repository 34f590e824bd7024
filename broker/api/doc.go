// Package api is the HTTP listener of a node: health, metrics, the API, streams of
// server-sent events, and the embedded dashboard.
//
// openapi.yaml is what it promises, and tests hold the handlers to it. The JSON types
// are in package v1, for the client too.
package api
