// Package store keeps a node's slivers, the metadata and end epochs of their blobs, certificates, and a little state,
// in Badger databases. It returns the very bytes that were put, or ErrCorrupt. It knows nothing of the network: it does
// not compare bytes with their blob ID, and does not fetch lost data. Start with Open.
//
// # Promises
//
//   - A sliver becomes visible as a whole, with Commit. No crash makes a part of a sliver visible.
//   - Sync makes everything that was committed or put before it durable: it survives a crash or a loss of power.
//     Concurrent callers share one sync.
//   - A failed Sync is not forgotten by a later one that succeeds: see Store.Sync.
//   - Open repairs damaged files or moves them aside, and continues with the rest. A read of damaged data is an error.
//
// Incidents lists the damage that Open and reads have found; ScrubPart reads everything, a part at a time. After an
// incident the node compares its data with what it should have. Lost records may leave no trace. If the end of a log
// was lost, a record in meta may have an earlier value again.
//
// Open costs the same however many slivers there are, except that it reads the index in each index table: 5 % of the
// index. It reads the whole of meta's. What else a start has to look at, Tend does in the background.
//
// # Layout on disk
//
//	DIR/lock                   held (flock) while the store is open
//	DIR/clean                  made by Close; if it is missing, the last process did not close the store
//	DIR/sweep                  exists until Tend has removed the extents that a crash left
//	DIR/meta/                  a database: blob records, certificates, state
//	DIR/slivers/<epoch>/       a database, or segment, for each end epoch: slivers and metadata
//	DIR/…/<name>.corrupt-<n>   a damaged database that was moved aside; DropEpoch removes the copies of its epoch
//	DIR/slivers/…/*.corrupt    a damaged index table that was left out of its segment
//	DIR/slivers/<epoch>.dropped      a segment that is being removed
//	DIR/slivers/<epoch>.check        damage was found in the segment's index: the next Open reads all of it
//
// A segment is closed and removed as a whole, because Badger reclaims the space of large values badly. The space of
// deleted slivers is free only then. An extended blob stays in its segment until the segment ends, and then moves.
//
// Numbers are big-endian. Each value ends with a CRC32C u32 over its key and the rest of the value, which also detects
// a value that belongs to another key.
//
//	all     'f'                                                     format version u32 (2)
//	all     'n' ‖ number mod 1024, u16        number of a batch u64 ‖ synced u64 ‖ doubt u8 ‖ 2 counts u64
//	all     'n' ‖ ffff                        the counts are in doubt
//	all     'v'                                                     version u64 of a write: later ones are the newest
//	meta    'u'                                                     disk space of the store in bytes u64
//	meta    'b' ‖ blob ID                                           end epoch u32
//	meta    'c' ‖ blob ID                                           epoch of the certificate u32 ‖ certificate
//	meta    'x' ‖ name                                              state
//	segment  'm' ‖ blob ID                                           metadata
//	segment  's' ‖ shard u16 ‖ blob ID ‖ axis u8                     size u64 ‖ extent size u32 ‖ write u64
//	segment  'd' ‖ shard u16 ‖ blob ID ‖ axis u8 ‖ write ‖ i u32     extent i of that sliver
//
// A sliver is cut into extents of 512 KiB; the last may be shorter. Each writer of a sliver has a random number, the
// write, in the keys of its extents. Extents are written as they come. The record of the sliver is written after its
// extents are synced, and selects one write. Extents that no record selects remain from a crash or an aborted write.
//
// The numbers of blobs, certificates and slivers are kept, not counted. Each batch that changes such records has the
// next number and carries the counts behind it (blobs and certificates, or slivers). A loss of power may lose any
// batches behind the number that was synced: if one is missing, or the disk has refused something, Tend counts again.
// It also counts a store of version 1, which has no counts.
//
// # What it costs
//
// An open database takes 0.3 MiB of memory, ten goroutines, next to no processor time, and a file descriptor for each
// 512 MiB of slivers. A database being written to takes some 12 MiB more. A writer and a reader each hold one extent
// in memory, however large the sliver. Slivers are read and written through memory maps, so the resident size that the
// system shows includes page cache.
//
// # What it cannot survive
//
//   - A full disk: Badger writes through memory maps, and on a full disk such a write ends the process. Config.MinFree
//     keeps the store from filling the disk, but not other programs.
//   - Index tables that change while the store is open: they may end the process. Damaged sliver data does not.
//
// After the fault of a memory map Close returns an error and leaves that database to the next process.
package store
