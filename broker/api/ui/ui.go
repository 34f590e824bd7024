package ui

import (
	"embed"
	"io/fs"
)

//go:embed page
var page embed.FS

// Files has index.html, and what it loads below /ui/.
func Files() fs.FS {
	files, err := fs.Sub(page, "page")
	if err != nil { // not reached: the name is a valid one
		return page
	}
	return files
}
