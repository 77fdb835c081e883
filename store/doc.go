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
// Open costs the same however many slivers there are. It reads a summary of each segment, and opens meta: an index
// table that was whole once, and whose file was not changed since, is trusted, but for its own index and the few
// records that Open needs. After an unclean stop Open also opens the few segments that were open, in the same way. What
// else a start has to look at, Tend does in the background, a minute later.
//
// # Segments
//
// Slivers and metadata lie in segments: databases of bounded size, each written once. A blob goes to a segment of the
// class of its end: a range of end epochs that is no wider than the time that is left, a power of two. So what lies
// together ends together. To extend a blob changes its record and moves nothing.
//
// Meta decides what lives. The places of a blob, a record in meta, name the segments that hold something of it, and say
// how much. What no place names is dead: what was aborted, dropped, or has ended. To drop a blob is one write to meta,
// wherever its slivers are, and opens no segment. The same write changes the accounts: the sums, for each segment, of
// what the places say of it.
//
// A segment keeps the records of what is dead. So each blob that is put gets a random number, its life, which its
// places, slivers and metadata carry. When a blob is dropped and put again, even into the same segment, the places name
// another life, and the old slivers stay dead: after a crash too, because the places are durable before a record is
// written that they lead to.
//
// Badger reclaims the space of large values badly, so nothing is reclaimed within a segment. The compactor copies what
// lives out of the segment with the least live share, and removes its folder: when half of it is dead, or, when room is
// short, a sixteenth. A segment in which nothing lives goes at once. The compactor writes into a reserve of one segment
// that data may not use, so a full disk recovers as soon as something is deleted or ends. A writer that finds the disk
// full runs it, and is refused only if nothing is left to compact.
//
// The order of writes and syncs:
//
//   - To commit a sliver: its extents, and the place, both visible. Then, to sync: the segment's extents; the sliver is
//     counted in its place; a sync of meta; the sliver's record; a sync of the segment. A crash in between leaves
//     extents without a record, which are dead, and places that count too much. So Tend counts anew what the segments
//     hold that were written to before an unclean stop. It reads all places, and of those segments the records.
//   - To compact: the copies and their places; a sync; a look whether all that lives is elsewhere and durable; a sync
//     of meta; the folder gets another name, and a sync of that; its files go. A crash in between leaves two copies.
//     The next compaction reads the second before it believes in it.
//   - To drop a blob: its record, certificate, places and what they count, at once.
//   - To delete a damaged sliver: its record in the segment, then what its place counts.
//
// After the loss of meta, and in stores of earlier formats, segments have no accounts. They take no more slivers, and
// are searched as if all places led to them with slivers of any life, until Tend has read their keys. Meanwhile a blob
// that has ended, and is put again, may find its old slivers there.
//
// Whoever decides by the record of a blob holds the lock of that blob: see locks.
//
// # Layout on disk
//
//	DIR/lock                   held (flock) while the store is open
//	DIR/clean                  made by Close; if it is missing, the last process did not close the store
//	DIR/meta/                  a database: blob records, certificates, state, places, accounts
//	DIR/segments/<number>_<first>-<last>/   a database: a segment of the class of those end epochs
//	DIR/slivers/<epoch>/       the same, made by format 2: of one end epoch and without a bound. It takes no new slivers
//	DIR/…/<name>.closed        a summary of a segment: it exists only while nothing has been written since
//	DIR/…/<name>.dropped       a segment that is being removed
//	DIR/…/<name>.check         damage was found in the segment's index: the next Open reads all of it
//	DIR/…/<name>.corrupt-<n>   a damaged database that was moved aside; DropEpoch removes those whose class has ended
//	DIR/…/<name>/*.corrupt     a damaged index table that was left out of its segment
//
// Numbers are big-endian. Each value ends with a CRC32C u32 over its key and the rest of the value, which also detects
// a value that belongs to another key.
//
//	all      'f'                                                     format version u32 (4)
//	all      'v'                                                     version u64 of a write: later ones are the newest
//	meta     'u'                                                     disk space of the store in bytes u64
//	meta     'n' ‖ number mod 1024, u16        number of a batch u64 ‖ synced u64 ‖ doubt u8 ‖ 2 counts u64
//	meta     'n' ‖ ffff                        the counts are in doubt
//	meta     'b' ‖ blob ID                                           end epoch u32 ‖ life u32
//	meta     'c' ‖ blob ID                                           epoch of the certificate u32 ‖ certificate
//	meta     'p' ‖ blob ID                     1 ‖ places: segment u64 ‖ life u32 ‖ slivers u32 ‖ bytes that live u64
//	meta     'a' ‖ number of a segment u64                           account: slivers u64 ‖ bytes that live u64
//	meta     'i' ‖ number of a segment u64                           the places name it wherever they must
//	meta     'h'                                                     number of the next segment u64
//	meta     'e'                                                     last epoch that was dropped u64
//	meta     'k'                                     segments below this u64 may hold slivers that lost their record
//	meta     'x' ‖ name                                              state
//	segment  'm' ‖ blob ID ‖ life u32                                metadata
//	segment  's' ‖ shard u16 ‖ blob ID ‖ axis u8                     size u64 ‖ extent size u32 ‖ write u64
//	segment  'd' ‖ shard u16 ‖ blob ID ‖ axis u8 ‖ write ‖ i u32     extent i of that sliver
//	summary  version u64 ‖ noted version u64 ‖ disk space u64; the name is its key
//
// A sliver is cut into extents of 512 KiB; the last may be shorter. Each writer of a sliver has a random number, the
// write, in the keys of its extents: the life of the blob in 32 bits, and 32 random ones. Extents are written as they
// come. The record of the sliver is written after its extents are synced, and selects one write.
//
// What is counted is kept, not counted anew. Each batch that changes such records has the next number and carries the
// counts behind it: blobs and certificates, and the accounts that it changes. A loss of power may lose any batches
// behind the number that was synced: if one is missing, or the disk has refused something, Tend counts again.
//
// Life 0 stands for any. Stores of earlier formats have it: before version 4 records of blobs and keys of metadata end
// before the life, places are numbers of segments, u64 each, and accounts were in the segments.
//
// # What it costs
//
// An open segment takes 1.5 MiB of memory, ten goroutines, next to no processor time, and a file descriptor for each
// 512 MiB and nine more; one being written to up to 12 MiB. At most Config.Open are open, but for those being written.
// Each other takes 10 KB of memory, and some milliseconds when it is needed. So 10 TB in 2,500 segments of 4 GiB take
// 25 MB and, at 32 open ones, 50 MB more. A writer and a reader each hold one extent in memory, however large the
// sliver. Slivers are read and written through memory maps, so the resident size that the system shows includes page
// cache.
//
// # What it cannot survive
//
//   - A full disk: Badger writes through memory maps, and on a full disk such a write ends the process. Config.MinFree
//     keeps the store from filling the disk, but not other programs.
//   - Index tables that change while the store is open: they may end the process. Damaged sliver data does not.
//
// A disk that fails to read is not taken for damage while the store is open: the segment stays, and reads of it fail
// until it can be opened. After the fault of a memory map Close returns an error and leaves that database to the next
// process.
package store
