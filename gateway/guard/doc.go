// Package guard stands between the network and the gateway's handler: who may ask, how much, how fast and for how long,
// what browsers are told, and what of it is logged and counted. It knows HTTP and the routes' classes, and nothing of
// blobs. Start with New and Guard.Wrap. Each concern is a middleware in a file of its own:
//
//	override   methods that are named in a header, of resumable uploads
//	visit      request ID, and what the others keep about a request
//	accesslog  one line for each request
//	metrics    Prometheus
//	recover    a panic becomes a 500
//	headers    what browsers may do with an answer
//	host       names this gateway answers to
//	cors       reads and uploads from other origins
//	deadline   an end for each request
//	pace       an end for clients that stand still
//	auth       JWT or API key for what writes, in two steps: who is it, and the token is used up
//	quota      requests, bytes and money for each key
//	limit      so many requests at once, so many waiting
package guard
