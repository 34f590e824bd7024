// Package ui is the dashboard: the files that a browser loads from a node's HTTP
// listener, embedded as they stand. There is no build step and no library.
//
// # Guarantees
//
//   - Nothing is loaded from another host, and nothing is inline: it works under
//     Content-Security-Policy default-src 'self'.
//   - Names, topics and payloads become text nodes (page/dom.js), never markup.
//   - The token is in the session storage of its tab, and goes to this listener alone.
//   - What changes something asks first, and is not offered to a token that may only read.
//   - What it asks for at intervals are counters and one page of a list; a tab in the
//     background asks for nothing.
//
// # How it is made
//
// page/main.js finds the view for the address (#/clients?search=x) and gives it a
// context that ends when the view is left: requests, timers and streams end with it.
// page/api.js is the API, page/feed.js the counters over time, page/chart.js draws them,
// page/mqtt.js is MQTT 5 over WebSocket, page/view-*.js are the views.
//
// # Imports
//
// Nothing of the module.
package ui
