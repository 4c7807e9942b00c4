package enlace

import (
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
)

// firstRead is how much memory a body gets before any of it has come. It grows with
// what comes, not with what the sender promises.
const firstRead = 4 << 10

// readBody reads the request's body within every bound. The caller gives back held
// bytes of the budget when it is done with the body.
func (s *Service) readBody(w http.ResponseWriter, r *http.Request, terms WebhookTerms) (body []byte, held int64, err error) {
	limit := s.webhooks.MaxBody
	if r.ContentLength > limit {
		return nil, 0, refuse(http.StatusRequestEntityTooLarge, "body")
	}
	if err := checkContentType(r.Header); err != nil {
		return nil, 0, err
	}
	encoding := r.Header.Values("Content-Encoding")
	zipped := len(encoding) == 1 && strings.EqualFold(encoding[0], "gzip")
	if len(encoding) > 1 || (len(encoding) == 1 && !(zipped && terms.Gzip) && !strings.EqualFold(encoding[0], "identity")) {
		return nil, 0, refuse(http.StatusUnsupportedMediaType, "encoding")
	}
	if r.ContentLength != 0 {
		deadline := http.NewResponseController(w) // a writer without deadlines has the server's only
		_ = deadline.SetReadDeadline(time.Now().Add(s.webhooks.BodyTimeout))
		defer func() {
			if err == nil {
				_ = deadline.SetReadDeadline(time.Time{})
			}
		}()
	}
	if zipped {
		return s.unzip(http.MaxBytesReader(w, r.Body, limit), limit)
	}
	return s.readBounded(r.Body, r.ContentLength, limit)
}

// unzipMemory is about what unpacking takes besides the unpacked bytes.
const unzipMemory = 64 << 10

// unzip unpacks a body while it comes, so that of one that becomes larger than limit no
// more is read than makes that many bytes.
func (s *Service) unzip(packed io.Reader, limit int64) (body []byte, held int64, err error) {
	if !s.inFlight.take(unzipMemory) {
		return nil, 0, busy()
	}
	defer s.inFlight.give(unzipMemory)
	z, err := gzip.NewReader(packed)
	if err == nil {
		body, held, err = s.readBounded(z, -1, limit)
	} else {
		err = bodyError(err)
	}
	if errors.Is(err, errBodyCut) {
		err = refuse(http.StatusBadRequest, "gzip")
	}
	return body, held, err
}

// errBodyCut is a body that ended before its end.
var errBodyCut = refuse(http.StatusBadRequest, "cut")

// readBounded reads up to limit bytes. size is how many are promised, -1 if none.
func (s *Service) readBounded(from io.Reader, size, limit int64) (body []byte, held int64, err error) {
	first := int64(firstRead)
	if size >= 0 {
		first = min(size, 2*firstRead) + 1 // the end shows in a read behind it
	}
	grow := func(to int64) bool {
		if !s.inFlight.take(to - held) {
			return false
		}
		held = to
		body = append(make([]byte, 0, to), body...)
		return true
	}
	if !grow(first) {
		return nil, held, busy()
	}
	for {
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			return nil, held, refuse(http.StatusRequestEntityTooLarge, "body")
		case errors.Is(err, io.EOF):
			return body, held, nil
		case err != nil:
			return nil, held, bodyError(err)
		}
		if len(body) == cap(body) && !grow(min(2*int64(cap(body)), limit+1)) {
			return nil, held, busy()
		}
	}
}

func bodyError(err error) error {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return refuse(http.StatusRequestTimeout, "slow")
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return refuse(http.StatusRequestEntityTooLarge, "body") // a limit of the host's
	}
	return errBodyCut
}

// checkContentType refuses what no webhook is. A missing type is taken: some
// providers do not say.
func checkContentType(h http.Header) error {
	kind, ok := mediaType(h)
	switch {
	case !ok:
	case kind == "", kind == "application/json", kind == formType, kind == "application/xml", strings.HasPrefix(kind, "text/"),
		strings.HasPrefix(kind, "application/") && (strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml")):
		return nil
	}
	return refuse(http.StatusUnsupportedMediaType, "content type")
}

const formType = "application/x-www-form-urlencoded"

// isForm says whether a body is a form by its type.
func isForm(h http.Header) bool {
	kind, _ := mediaType(h)
	return kind == formType
}

// mediaType is the type of a body in lower case, empty if none is told. It is not ok if
// there are several, or one that cannot be read.
func mediaType(h http.Header) (kind string, ok bool) {
	values := h["Content-Type"]
	if len(values) > 1 {
		return "", false
	}
	if len(values) == 0 || values[0] == "" || values[0] == "application/json" { // the usual one, without a parser
		return strings.Join(values, ""), true
	}
	kind, _, err := mime.ParseMediaType(values[0])
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return "", false
	}
	return kind, true
}
