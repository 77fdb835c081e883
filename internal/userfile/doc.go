// Package userfile reads and writes files that people name: on command lines, in configurations, in the identifiers of
// a quilt. Such a name may lead to a link, a pipe, a device, a descriptor of this process, or a file mounted alone; its
// content may start with an editor's mark. Start with Open for writing, OpenInput for reading, and CreateNew to write
// without replacing.
package userfile
