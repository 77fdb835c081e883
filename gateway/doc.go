// Package gateway serves the network over HTTP: a publisher stores blobs, an aggregator reads them, and one process may
// be both. Routes, parameters, headers, JSON and errors equal the original daemons', so their clients work unmodified;
// additions do not disturb them. The API describes itself in an OpenAPI document made from the code. The package does
// not decide who may use it, and how much: wrap Handler for that. Start with Gateway.
package gateway
