// Package userfile reads and writes the files that people name: on command lines, in configurations, in the identifiers of
// a quilt. Such a name may be a link, a pipe, a device, a descriptor of this process, or a file that another one is mounted
// on; what is in it may have a mark that an editor put there. Start with Open, which writes, OpenInput, which reads, and
// CreateNew, which never replaces.
package userfile
