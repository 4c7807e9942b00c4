package zapsigntest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// fetchTimeout bounds downloads of files that a request names by URL.
const fetchTimeout = 30 * time.Second

var errDownload = errors.New("no file there, or one that is too large")

// get downloads a file within the limit of files.
func (a *API) get(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := a.outgoing.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	limit := int64(a.options.FileLimit)
	content, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err == nil && (response.StatusCode != http.StatusOK || int64(len(content)) > limit) {
		err = errDownload
	}
	return content, err
}
