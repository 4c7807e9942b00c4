package admin

import (
	"net/http"
	"net/url"
	"strings"
)

// mount is where a request has met the handler. It is found anew for each request,
// so that a host has nothing to configure.
type mount struct {
	path   string // inside the mount, escaped, without a slash in front: "", "i", "i/abc/edit"
	root   string // the way from the requested document to the mount: "./", "../", "../../"
	prefix string // what precedes path in the address as this server got it; ends in "/"
	bare   bool   // the mount itself was asked for, without the slash at its end
	name   string // the last part of the prefix, if bare
}

// locate compares three things: the path that the client asked for (RequestURI),
// the path that arrived here after whatever [http.StripPrefix] took away, and the
// pattern under which the mux found the handler.
func locate(r *http.Request) mount {
	asked, arrived := requestedPath(r), r.URL.EscapedPath()
	if arrived == "" && asked != "/" && !strings.HasSuffix(asked, "/") {
		return mount{root: "./", prefix: asked + "/", bare: true, name: lastPart(asked)}
	}
	all, rest, pattern := parts(asked), parts(arrived), patternParts(r.Pattern)
	stripped := len(all) - len(rest)
	switch {
	case stripped < 0: // middleware made the path longer: trust what arrived
		all = rest
	case stripped >= len(pattern) && matches(pattern, all[stripped-len(pattern):stripped]):
		// The pattern's part was taken away, or there is none.
	case matches(pattern, rest) && len(rest) == len(pattern):
		return mount{root: "./", prefix: asked + "/", bare: true, name: lastPart(asked)}
	case matches(pattern, rest):
		rest = rest[len(pattern):]
	}
	m := mount{path: strings.Join(rest, "/"), root: "./"}
	if up := len(rest) - 1; up > 0 {
		m.root = strings.Repeat("../", up)
	}
	m.prefix = "/" + strings.Join(all[:len(all)-len(rest)], "/")
	if m.prefix != "/" {
		m.prefix += "/"
	}
	return m
}

// requestedPath is the escaped path of the request line.
func requestedPath(r *http.Request) string {
	uri := r.RequestURI
	if u, err := url.ParseRequestURI(uri); err == nil {
		return u.EscapedPath()
	}
	return r.URL.EscapedPath()
}

// parts cuts a path at its slashes; that of "/" is one empty part.
func parts(path string) []string { return strings.Split(strings.TrimPrefix(path, "/"), "/") }

// patternParts are those of a mux pattern ("POST host/a/{b}/", "/a/{rest...}", and
// the "/a/*" of other routers) that come before the handler's own paths.
func patternParts(pattern string) []string {
	_, path, ok := strings.Cut(pattern, "/")
	if !ok {
		return nil
	}
	var before []string
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "*" || part == "{$}" || strings.HasSuffix(part, "...}") {
			break
		}
		before = append(before, part)
	}
	return before
}

// matches says whether path begins with what the pattern asks for.
func matches(pattern, path []string) bool {
	if len(path) < len(pattern) {
		return false
	}
	for i, part := range pattern {
		if !strings.HasPrefix(part, "{") && part != path[i] {
			return false
		}
	}
	return true
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// origin is scheme and host by which the client reached this server.
func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
