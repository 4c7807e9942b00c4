package admin

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// files are the scripts and styles, under names that hold the hash of the content,
// so that browsers keep them for ever. They hold nothing that is not public.
type files struct {
	byName map[string]file   // "admin.1a2b3c4d.css"
	names  map[string]string // "admin.css" → "admin.1a2b3c4d.css"
}

type file struct {
	kind         string
	plain, small []byte // as it is; compressed
}

// stable are also served under their plain name, for pages of the host.
var stable = map[string]bool{"enlace-health.js": true}

var fileKinds = map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}

func loadFiles() *files {
	f := &files{byName: map[string]file{}, names: map[string]string{}}
	entries, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		panic(err)
	}
	for _, entry := range entries {
		name, kind := entry.Name(), fileKinds[path.Ext(entry.Name())]
		if kind == "" {
			continue // licences
		}
		data, err := staticFiles.ReadFile("static/" + name)
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(data)
		stem, ext := strings.TrimSuffix(name, path.Ext(name)), path.Ext(name)
		hashed := stem + "." + hex.EncodeToString(sum[:4]) + ext
		content := file{kind: kind, plain: data, small: compress(data)}
		f.names[name], f.byName[hashed] = hashed, content
		if stable[name] {
			f.byName[name] = content
		}
	}
	return f
}

// serve answers for a file, or says that there is none of that name.
func (f *files) serve(w http.ResponseWriter, r *http.Request, name string) bool {
	content, ok := f.byName[name]
	if !ok || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", content.kind)
	if stable[name] {
		h.Set("Cache-Control", "public, max-age=300")
	} else {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	writeBody(w, r, content.plain, content.small)
	return true
}

// writeBody sends the compressed form if the client takes it.
func writeBody(w http.ResponseWriter, r *http.Request, plain, small []byte) {
	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	body := plain
	if small != nil && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = small
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

func acceptsGzip(r *http.Request) bool {
	for entry := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(entry), ";")
		if coding == "gzip" && strings.TrimSpace(weight) != "q=0" {
			return true
		}
	}
	return false
}

func compress(data []byte) []byte {
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil
	}
	if _, err := zip.Write(data); err != nil || zip.Close() != nil {
		return nil
	}
	return out.Bytes()
}
