package admin

import (
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

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
