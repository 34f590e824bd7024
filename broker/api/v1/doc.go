// Package v1 is the JSON of the HTTP API, version 1: one Go type for each schema of
// openapi.yaml in package api. The handlers, the client and the command line share it.
//
// Fields are added, never renamed or removed; who reads must pass over what it does not
// know. Times are RFC 3339; bytes are base64; a duration in a name ending in _sec is in
// seconds.
//
// It imports nothing of the module and starts nothing.
package v1
