package main

// originalCommands are those that the original calls otherwise.
var originalCommands = map[string]string{
	"write": "store", "burnBlobs": "burn", "getBlobAttribute": "attributes show", "setBlobAttribute": "attributes set",
	"removeBlobAttributeFields": "attributes remove",
}

// originalFields are fields that the original calls otherwise, by command.
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

// neutralFields are fields of the original that have nothing to do here, by command: programs send them with values that
// ask for nothing, and only these are accepted.
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

// argumentFields name arguments whose word in the usage makes no name of a field.
var argumentFields = map[string]string{"KEY=VALUE": "attributes", "KEY": "keys"}

var neutralStore = []string{
	"encodingType", "ignoreResources", "earliestExpiryTime", "endEpoch", "uploadRelay", "skipTipConfirmation", "childProcessUploads",
}
