package keeper

import (
	"github.com/prometheus/client_golang/prometheus"

	"walrus/shards"
)

// meters count the node's work. Names without "node" or "ledger" come from the original Walrus and mean the same
// there.
type meters struct {
	metadataStored   prometheus.Counter
	sliversStored    *prometheus.CounterVec // uploads and repairs
	sliversRetrieved *prometheus.CounterVec
	confirmations    prometheus.Counter
	recoverDuration  *prometheus.HistogramVec
	refused          prometheus.Counter
	repairFetched    prometheus.Counter
	cells            prometheus.Counter
}

const sliverType = "sliver_type"

func newMeters() *meters {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	slivers := func(name, help string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{sliverType})
		for _, axis := range axes { // zero from the start, so that rates are right
			v.WithLabelValues(axis.String())
		}
		return v
	}
	m := &meters{
		metadataStored:   counter("walrus_metadata_stored_total", "Metadata of blobs taken from clients."),
		sliversStored:    slivers("walrus_slivers_stored_total", "Slivers stored, uploaded by clients or rebuilt."),
		sliversRetrieved: slivers("walrus_slivers_retrieved_total", "Slivers opened for clients and other nodes."),
		confirmations:    counter("walrus_storage_confirmations_issued_total", "Confirmations signed."),
		recoverDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "walrus_recover_blob_duration_seconds", Help: "Time of one attempt to rebuild the missing slivers of a blob.",
			Buckets: prometheus.ExponentialBuckets(0.05, 3, 9), // to 5.5 minutes
		}, []string{"status"}),
		refused: counter("walrus_node_writes_refused_total", "Requests to store refused for want of disk space."),
		repairFetched: counter("walrus_node_repair_fetched_bytes_total",
			"Symbols and proofs fetched from other nodes to rebuild slivers."),
		cells: counter("walrus_node_cells_compared_total",
			"Cells of our slivers compared with other members' crossing slivers."),
	}
	for _, status := range []string{"success", "failure"} {
		m.recoverDuration.WithLabelValues(status)
	}
	return m
}

func (m *meters) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.metadataStored, m.sliversStored, m.sliversRetrieved, m.confirmations, m.recoverDuration, m.refused,
		m.repairFetched, m.cells,
	}
}

func (m *meters) stored(axis shards.Axis)    { m.sliversStored.WithLabelValues(axis.String()).Inc() }
func (m *meters) retrieved(axis shards.Axis) { m.sliversRetrieved.WithLabelValues(axis.String()).Inc() }
