package zapsigntest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// file is what the file host serves.
type file struct {
	path        string
	contentType string
	content     []byte // never changed; shared between versions
	tail        string // after content: what signing adds
	hash        string // of content, in hexadecimal; only of originals
}

const linkLife = time.Hour // sheet 3.6

func (a *API) newFile(kind, extension, contentType string, content []byte, tail string) *file {
	now := a.now()
	f := &file{
		path:        fmt.Sprintf("%d/%d/%s/%s.%s", now.Year(), now.Month(), kind, newUUID(), extension),
		contentType: contentType, content: content, tail: tail,
	}
	if tail == "" {
		f.hash = fmt.Sprintf("%x", sha256.Sum256(content))
	}
	a.files[f.path] = f
	return f
}

// link is a file in an answer: a new address on each rendering (F16), null without a file.
type link struct {
	api  *API
	host string
	path string
}

func (a *API) link(f *file) link {
	if f == nil {
		return link{}
	}
	return link{a, a.addresses.Files, f.path}
}

// MarshalJSON implements [json.Marshaler].
func (l link) MarshalJSON() ([]byte, error) {
	if l.path == "" {
		return []byte("null"), nil
	}
	return marshal(l.String()), nil
}

// String returns a new address.
func (l link) String() string {
	expires := l.api.now().Add(linkLife).Unix()
	signature := l.api.linkSignature(l.path, expires, randomBytes(4))
	return l.host + "/" + l.path + "?AWSAccessKeyId=AKIAZAPSIGNTEST&Signature=" + url.QueryEscape(signature) + "&Expires=" + strconv.FormatInt(expires, 10)
}

// linkSignature begins with what makes links of the same second differ.
func (a *API) linkSignature(path string, expires int64, nonce []byte) string {
	mac := hmac.New(sha256.New, a.secret)
	fmt.Fprintf(mac, "%s\n%d\n%x", path, expires, nonce)
	return base64.StdEncoding.EncodeToString(append(nonce, mac.Sum(nil)[:16]...))
}

// serveFile answers for the file host, as S3 does (F16).
func (a *API) serveFile(r *http.Request, _ []byte) answer {
	path, query := strings.TrimPrefix(r.URL.Path, "/"), r.URL.Query()
	expires, _ := strconv.ParseInt(query.Get("Expires"), 10, 64)
	signature := query.Get("Signature")
	nonce, _ := base64.StdEncoding.DecodeString(signature)
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.files[path]
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return s3Error(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	case r.Header.Get("Authorization") != "" && !a.options.Quirks.FilesTakeAuthorization:
		return s3Error(http.StatusBadRequest, "InvalidArgument", "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified")
	case signature == "" || expires == 0:
		return s3Error(http.StatusForbidden, "AccessDenied", "Access Denied")
	case a.now().Unix() >= expires:
		return s3Error(http.StatusForbidden, "AccessDenied", "Request has expired")
	case len(nonce) != 20 || !hmac.Equal([]byte(a.linkSignature(path, expires, nonce[:4:4])), []byte(signature)):
		return s3Error(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
	case f == nil:
		return s3Error(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	}
	content := make([]byte, 0, len(f.content)+len(f.tail))
	return answer{status: http.StatusOK, contentType: f.contentType, body: append(append(content, f.content...), f.tail...)}
}

func s3Error(status int, code, text string) answer {
	body := "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>" + code + "</Code><Message>" + text + "</Message><RequestId>ZAPSIGNTEST</RequestId></Error>"
	return answer{status: status, contentType: typeXML, body: []byte(body)}
}

// sealMark begins what signing adds to a file.
const sealMark = "\n% zapsigntest: "

// seal makes a signed version of the document's files, main and extra (sheet 3.6).
func (a *API) seal(d *document, what string) {
	for _, each := range append([]*document{d}, d.extras...) {
		tail := ""
		if each.signedFile != nil {
			tail = each.signedFile.tail
		}
		tail += sealMark + what + "\n"
		each.signedFile = a.newFile("pdf", "pdf", typePDF, each.original.content, tail)
	}
}

// download is a file that a request named by URL.
type download struct {
	content []byte
	failed  bool
}

// fetch downloads what a field names, before the API is locked.
func (c *call) fetch(name string) {
	address, isText := c.in.values[name].(string)
	if !isText || !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") {
		return
	}
	content, err := c.get(c.request.Context(), address)
	if c.fetched == nil {
		c.fetched = map[string]download{}
	}
	c.fetched[name] = download{content, err != nil}
}

// source reads a file of a request, given as base64 or by URL.
func (c *call) source(name string) ([]byte, *answer) {
	value := c.in.text(name)
	if !strings.Contains(name, "base64") {
		got, fetched := c.fetched[name]
		if !fetched || got.failed {
			return nil, refused(name + ": não foi possível baixar o arquivo.")
		}
		return got.content, c.checkSize(name, got.content)
	}
	if strings.HasPrefix(value, "data:") {
		return nil, refused(name + ": envie somente o base64, sem o prefixo data:.")
	}
	content, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return nil, refused(name + ": base64 inválido.")
	}
	return content, c.checkSize(name, content)
}

func (c *call) checkSize(name string, content []byte) *answer {
	if len(content) == 0 || len(content) > c.options.FileLimit {
		return refused(name + ": arquivo vazio ou maior que o limite.")
	}
	return nil
}
