// Package gateway serves the network over HTTP: a publisher stores blobs, an aggregator reads them, and one process may
// be both. Routes, parameters, headers, JSON and errors are those of the original's daemons, so that their clients work
// unmodified; what is added stays out of their way. The API describes itself in an OpenAPI document made from the code.
// Who may use it and how much is not its business: wrap Handler for that. Start with Gateway.
package gateway
