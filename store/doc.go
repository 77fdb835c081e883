// Package store is what a node keeps: slivers, the metadata and end epochs of their blobs, certificates, and a little
// state, in Badger databases. It answers for its bytes: what it returns is what was put, or an error that says it is
// not (ErrCorrupt). It knows nothing of the network; it does not check that bytes are what a blob ID promises, nor
// fetch what it has lost. Start with Open.
//
// # Promises
//
// A sliver is visible whole or not at all, from Commit on. Sync makes durable what was committed or put before it;
// concurrent callers share one. After a crash or a loss of power everything that a Sync covered is there, and nothing
// is visible that is not whole. A failed Sync is not forgotten by a later one that succeeds: see Store.Sync.
//
// Open repairs or moves aside what is damaged and goes on with the rest, and a read of damaged data is an error.
// What Open has left out, and what reads have found, is in Incidents; Scrub reads everything. After an incident the
// node compares what it has with what it should have: of lost records there may be no trace, and a record in meta
// that was changed may be back at an earlier value if the end of a log was lost.
//
// # Layout on disk
//
//	DIR/lock                   held (flock) while the store is open
//	DIR/clean                  there after Close only; without it Open removes segments that a crash left
//	DIR/meta/                  a database: blob records, certificates, state
//	DIR/slivers/<epoch>/       a database, or bucket, for each end epoch: slivers and metadata
//	DIR/…/<name>.corrupt-<n>   a damaged database that was moved aside; DropEpoch removes those of its epoch
//	DIR/slivers/…/*.corrupt    a damaged index table of a bucket that was left out
//	DIR/slivers/<epoch>.dropped      a bucket on its way out
//
// A bucket ends as a whole: closed and removed, because Badger reclaims the space of large values badly. The space of
// deleted slivers comes back then too. A blob that is extended stays in its bucket until that ends and then moves.
//
// Numbers are big-endian. Each value ends with a CRC32C u32 over key ‖ value before it, so that a value that belongs
// to another key is found out too.
//
//	all     'f'                                                     format version u32 (1)
//	meta    'b' ‖ blob ID                                           end epoch u32
//	meta    'c' ‖ blob ID                                           epoch of the certificate u32 ‖ certificate
//	meta    'x' ‖ name                                              state
//	bucket  'm' ‖ blob ID                                           metadata
//	bucket  's' ‖ shard u16 ‖ blob ID ‖ axis u8                     size u64 ‖ segment size u32 ‖ write u64
//	bucket  'd' ‖ shard u16 ‖ blob ID ‖ axis u8 ‖ write ‖ i u32     segment i of that sliver
//
// A sliver is cut into segments of 512 KiB, the last may be shorter. The write is a random number that tells the
// writers of one sliver apart: segments are written under it as they come, and its record, which makes one write the
// sliver, only after they are synced. Segments of another write, or without a record, are what a crash or an aborted
// write has left.
//
// # What it costs
//
// An open database takes 0.3 MiB of memory, ten goroutines and next to no processor time, and a file descriptor for
// each 512 MiB of slivers; one that is written to takes some 12 MiB more. A writer takes a segment, a reader a
// segment, however large the sliver.
// Slivers are read and written through memory maps, so the resident size that the system shows includes page cache.
//
// # What it cannot survive
//
// Badger writes through memory maps, and on a full disk such a write ends the process. Config.MinFree keeps the store
// from filling the disk, not others. Damage to a closed store is handled as above; of a store that is open, damaged
// sliver data is, but index tables that change under Badger may end the process. After the fault of a map Close
// returns an error and leaves that database to the next Open.
package store
