package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"reflect"
	"strings"
)

// versionTag is the strong validator of what has a version.
func versionTag(version int64) string { return fmt.Sprintf(`"v%d"`, version) }

func etagOfBytes(data []byte) string {
	sum := sha256.Sum256(data)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

// matchesTag says whether a header of If-Match or If-None-Match names the tag. Weak
// ones never match strongly.
func matchesTag(header, tag string, weak bool) bool {
	for entry := range strings.SplitSeq(header, ",") {
		entry = strings.TrimSpace(entry)
		if weak {
			entry = strings.TrimPrefix(entry, "W/")
		}
		if entry == tag || entry == "*" {
			return true
		}
	}
	return false
}

// checkVersion refuses a change whose sender has read another version, or none.
func checkVersion(c *call, ifMatch string, version int64) error {
	switch {
	case ifMatch == "":
		return newProblem(c, "version_required")
	case !matchesTag(ifMatch, versionTag(version), false):
		return newProblem(c, "version_conflict")
	default:
		return nil
	}
}

// notModified answers 304 if the client has this version already.
func notModified(w http.ResponseWriter, r *http.Request, tag string) bool {
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	if header := r.Header.Get("If-None-Match"); header == "" || !matchesTag(header, tag, true) {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }
