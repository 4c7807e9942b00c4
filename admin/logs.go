package admin

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

const logLines = 200

var logLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

var logLevelNames = []string{"debug", "info", "warn", "error"}

type logsData struct {
	Rows        []logRow
	Level, Text string
	Integration string
	Request     string
	Levels      []string
	Names       map[string]string
	Lost        bool
	Filtered    bool
}

type logRow struct {
	enlace.LogRecord
	Word  string // of the level
	Attrs []headerRow
}

// gatherLines is how long log lines are gathered before a stream is told of them.
const gatherLines = time.Second

// tellLogs tells a stream that the tenant has new log lines, until ctx ends.
func (a *Admin) tellLogs(ctx context.Context, tenant string, s *stream) {
	logs, any := a.options.Logs, enlace.LogQuery{Level: slog.LevelDebug - 100, Limit: 1}
	newest := func() uint64 {
		if lines, _ := logs.Lines(any); len(lines) > 0 {
			return lines[0].Seq
		}
		return 0
	}
	mine := any
	mine.Attrs = map[string]string{enlace.LogTenant: tenant}
	for mine.After = newest(); logs.Wait(ctx, mine.After) == nil; {
		last := newest()
		if lines, _ := logs.Lines(mine); len(lines) > 0 {
			s.add(signal{Topic: "logs"}, a.hub.number(tenant))
		}
		mine.After = last
		if !pause(ctx, gatherLines) {
			return
		}
	}
}

// logsPage shows the last lines of the host's log buffer, newest first, of the
// user's tenant only.
func (a *Admin) logsPage(w http.ResponseWriter, r *http.Request, c *call) error {
	if a.options.Logs == nil {
		return newProblem(c, "not_found")
	}
	q := r.URL.Query()
	data := logsData{Level: q.Get("level"), Text: short(q.Get("q"), 200), Integration: q.Get("integration"), Request: q.Get("request"), Levels: logLevelNames, Names: a.names(r, c)}
	level, ok := logLevels[data.Level]
	if !ok {
		data.Level, level = "info", slog.LevelInfo
	}
	data.Filtered = q.Has("level") || data.Text != "" || data.Integration != "" || data.Request != ""
	query := enlace.LogQuery{Level: level, Text: data.Text, Limit: logLines, Attrs: map[string]string{}}
	for name, value := range map[string]string{enlace.LogTenant: c.access.Tenant, enlace.LogIntegration: data.Integration, enlace.LogRequest: data.Request} {
		if value != "" {
			query.Attrs[name] = value
		}
	}
	lines, lost := a.options.Logs.Lines(query)
	data.Lost = lost
	for _, line := range slices.Backward(lines) {
		if line.Attrs[enlace.LogTenant] != c.access.Tenant {
			continue // of nobody, or of somebody else
		}
		row := logRow{LogRecord: line, Word: strings.ToLower(line.Level.String())}
		for _, name := range slices.Sorted(maps.Keys(line.Attrs)) {
			row.Attrs = append(row.Attrs, headerRow{name, short(line.Attrs[name], 300)})
		}
		data.Rows = append(data.Rows, row)
	}
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "logs", title: t.text("nav.logs"), section: "logs", live: true, data: data})
}
