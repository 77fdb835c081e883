package gateway

func documentPage(doc []byte) ([]byte, error) {
	return append(append([]byte("<!doctype html><title>API</title><pre>"), doc...), "</pre>"...), nil
}
