package main

// originalCommands maps the original's command names to ours, where they differ.
var originalCommands = map[string]string{
	"write": "store", "burnBlobs": "burn", "getBlobAttribute": "attributes show", "setBlobAttribute": "attributes set",
	"removeBlobAttributeFields": "attributes remove",
}

// originalFields maps the original's field names to ours, where they differ, by command.
var originalFields = map[string]map[string]string{
	"extend":            {"blobObjId": "blob", "epochsExtended": "epochs"},
	"delete":            {"blobId": "blob", "blobIds": "blob", "objectId": "blob", "objectIds": "blob"},
	"share":             {"blobObjId": "blob"},
	"fund":              {"sharedBlobObjId": "objectId"},
	"burn":              {"objectId": "blob", "objectIds": "blob"},
	"attributes show":   {"blobObjId": "blob"},
	"attributes set":    {"blobObjId": "blob"},
	"attributes remove": {"blobObjId": "blob"},
	"blob-id":           {"nShards": "shards"},
}

// neutralFields lists, by command, fields of the original without a use here. Programs send them with values that ask
// for nothing; only such values are accepted.
var neutralFields = map[string][]string{
	"":            {"context"},
	"store":       neutralStore,
	"store-quilt": neutralStore,
	"read":        {"rpcUrl", "strictConsistencyCheck", "skipConsistencyCheck"},
	"read-quilt":  {"rpcUrl"},
	"blob-id":     {"rpcUrl", "encodingType"},
	"blob-status": {"rpcUrl", "encodingType", "file"},
	"delete":      {"files", "noStatusCheck"},
	"extend":      {"shared"},
	"info":        {"rpcUrl", "command"},
	"health":      {"rpcUrl", "nodeIds", "nodeUrls", "committee", "activeSet", "detail", "sortBy", "desc"},
}

// argumentFields names the JSON fields of arguments whose usage word makes no field name.
var argumentFields = map[string]string{"KEY=VALUE": "attributes", "KEY": "keys"}

var neutralStore = []string{
	"encodingType", "ignoreResources", "earliestExpiryTime", "endEpoch", "uploadRelay", "skipTipConfirmation",
	"childProcessUploads",
}
