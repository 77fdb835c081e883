// Package guard stands between the network and the gateway's handler. It decides who may send requests, how many, how
// large and how fast; it tells browsers what they may do; it logs and counts. It knows HTTP and the classes of routes,
// not blobs. Start with New and Guard.Wrap. Each concern is a middleware in its own file:
//
//	override   the method named in a header, for resumable uploads
//	visit      request ID, and the other files' data about a request
//	accesslog  one line for each request
//	metrics    Prometheus
//	recover    a panic becomes a 500
//	headers    what browsers may do with an answer
//	host       host names this gateway answers to
//	cors       reads and uploads from other origins
//	deadline   a time limit for each request
//	pace       a time limit for stalled clients
//	auth       tokens for writes, in two steps: check the token, then use it up
//	quota      requests, bytes and money per key
//	limit      bounds of running and waiting requests
package guard
