package zapsign

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

// FileKind says which of a document's files is meant.
type FileKind string

// The kinds of files.
const (
	FileOriginal FileKind = "original"
	FileSigned   FileKind = "signed" // with the signatures so far and, at the end, the page of evidence
)

// FileRequest asks for a file of a document or of an extra document.
type FileRequest struct {
	Token string   // the document's, or the extra document's
	Kind  FileKind // FileSigned if empty
	Link  string   // a link that was read before; empty reads one first
	Limit int64    // bytes at most; 0 is Config.MaxBody
}

// DownloadSigned fetches the signed file of a document, or of an extra document,
// once everyone has signed (sheet 3.6): GET /docs/{token}/ and the file. Before that ZapSign has a file with some of the
// signatures, and after a cancellation one with a watermark: for those the error
// is ErrConflict, and [DownloadFile] gets them. limit bounds the file in bytes; 0
// is Config.MaxBody. Errors besides: those of DownloadFile.
func DownloadSigned(ctx context.Context, c *enlace.Conn, token string, limit int64) ([]byte, error) {
	d, err := GetDocument(ctx, c, token)
	if err != nil {
		return nil, err
	}
	link, main := d.SignedFile, d
	if d.ParentToken != "" { // only the main document says how far it has come
		if main, err = GetDocument(ctx, c, d.ParentToken); err != nil {
			return nil, err
		}
	}
	if documentStates[main.Status] != StateCompleted || link == "" {
		return nil, &enlace.Error{Provider: Name, Op: "download", Kind: enlace.ErrConflict, Outcome: enlace.OutcomeNotRun,
			Message: "not everyone has signed"}
	}
	return DownloadFile(ctx, c, FileRequest{Token: token, Kind: FileSigned, Link: link, Limit: limit})
}

// DownloadFile fetches a file of a document in whatever state it is, by a GET from
// the host of files, and of /docs/{token}/ where there is no fresh link. Links live
// an hour (sheet 3.6): one that has expired, or is refused, is replaced once by
// reading the document again. No credential is sent to the file's host, which
// must be the setting "fileHost". Errors: ErrNotFound, also if there is no signed
// file yet; ErrBlocked for another host; ErrTooLarge; ErrForbidden; ErrUnavailable.
func DownloadFile(ctx context.Context, c *enlace.Conn, r FileRequest) ([]byte, error) {
	link := r.Link
	for again := false; ; again = true {
		if link == "" || expired(link) {
			var err error
			if link, err = readLink(ctx, c, r); err != nil {
				return nil, err
			}
		}
		body, err := fetchFile(ctx, c, link, r.Limit)
		if e, ok := errors.AsType[*enlace.Error](err); !ok || e.Status != http.StatusForbidden || again {
			return body, err
		}
		link = ""
	}
}

// readLink reads a fresh link to the file.
func readLink(ctx context.Context, c *enlace.Conn, r FileRequest) (string, error) {
	d, err := GetDocument(ctx, c, r.Token)
	if err != nil {
		return "", err
	}
	link := d.SignedFile
	if r.Kind == FileOriginal {
		link = d.OriginalFile
	}
	if link == "" {
		return "", &enlace.Error{Provider: Name, Op: "download", Kind: enlace.ErrNotFound, Outcome: enlace.OutcomeNotRun, Message: "there is no such file yet"}
	}
	return link, nil
}

func fetchFile(ctx context.Context, c *enlace.Conn, link string, limit int64) ([]byte, error) {
	if u, err := url.Parse(link); err != nil || !strings.EqualFold(u.Host, c.Setting("fileHost")) {
		return nil, &enlace.Error{Provider: Name, Op: "download", Kind: enlace.ErrBlocked, Outcome: enlace.OutcomeNotRun,
			Message: `the file is not on the host of the setting "fileHost"`}
	}
	answer, err := c.Download(ctx, link, limit)
	return answer.Body, err
}

// expired says whether a link tells that its time is over.
func expired(link string) bool {
	u, err := url.Parse(link)
	if err != nil {
		return false
	}
	unix, err := strconv.ParseInt(u.Query().Get("Expires"), 10, 64)
	return err == nil && !time.Now().Before(time.Unix(unix, 0))
}
