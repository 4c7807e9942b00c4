//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package file

import (
	"io/fs"
	"os"

	"github.com/enlace-go/enlace"
)

// supported makes Open refuse, so that the rest is never reached.
const supported = false

func tryLock(*os.File) (bool, error) { return false, enlace.ErrUnsupported }

func ownerOf(fs.FileInfo) (int, bool) { return -1, false }
