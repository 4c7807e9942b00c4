package rdstation

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/enlace-go/enlace"
)

// statistic is one of the analytics (sheet 2.6). None has pages.
type statistic struct {
	path  string
	kind  kindOf
	shape shape
}

var statistics = map[string]statistic{
	"analytics_emails": {"platform/analytics/emails", emailStatsKind, shape{lists: []string{"emails"}, id: []string{"campaign_id"}}},
	"analytics_workflow_emails": {"platform/analytics/workflow_emails", workflowStatsKind,
		shape{lists: []string{"workflow_email_statistics"}, id: []string{"workflow_id", "workflow_action_id"}}},
	"analytics_conversions": {"platform/analytics/conversions", conversionStatsKind, shape{lists: []string{"conversions"}, id: []string{"assets_type|asset_type", "asset_id"}}},
	"analytics_funnel":      {"platform/analytics/funnel", funnelStatsKind, shape{lists: []string{"funnel"}, id: []string{"reference_day"}}},
}

// pullStatistics reads one of the analytics by a single request.
func (m *Marketing) pullStatistics(ctx context.Context, c *enlace.Conn, req enlace.PullRequest, pos position, s statistic) (enlace.Page, error) {
	days, _ := strconv.Atoi(c.Setting("analyticsDays")) // validated as an integer
	today := time.Now().UTC()
	period := Period{From: today.AddDate(0, 0, 1-days), To: today.AddDate(0, 0, -1)}
	body, err := m.statistics(ctx, c, s, period, nil)
	if err != nil {
		return enlace.Page{}, err
	}
	read, err := parseList(body, req.Entity, s.shape)
	if err != nil {
		return enlace.Page{}, err
	}
	return pos.deliver(read.records, req.Limit, 0, len(read.records)), nil
}

// Period is a range of days, both included, in UTC. The provider has figures up to
// yesterday, with the plan Pro of the last 45 days only.
type Period struct{ From, To time.Time }

// statistics reads one of the analytics. A plan that lacks them may be answered
// like a wrong token; the account's name tells the two apart (sheet Q40).
func (m *Marketing) statistics(ctx context.Context, c *enlace.Conn, s statistic, p Period, query url.Values) ([]byte, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("start_date", p.From.UTC().Format(time.DateOnly))
	query.Set("end_date", p.To.UTC().Format(time.DateOnly))
	answer, err := m.send(ctx, c, request{get(s.path, query), spendOf(s.kind)})
	if m.notTheToken(ctx, c, err) {
		err = &enlace.Error{Op: s.path, Kind: enlace.ErrForbidden, Outcome: enlace.OutcomeNotRun, Status: http.StatusUnauthorized,
			Message: "the account's plan has no such analytics"}
	}
	return answer.Body, err
}

// notTheToken says whether a refusal of the token means something else, since the
// same token is good for the account's name.
func (m *Marketing) notTheToken(ctx context.Context, c *enlace.Conn, err error) bool {
	if !errors.Is(err, enlace.ErrAuth) {
		return false
	}
	_, err = m.Account(ctx, c)
	return err == nil
}

// EmailStatistic is what became of one e-mail campaign.
type EmailStatistic struct {
	CampaignID       int64   `json:"campaign_id"`
	CampaignName     string  `json:"campaign_name"`
	SendAt           string  `json:"send_at"`
	ContactsCount    int     `json:"contacts_count"`
	Dropped          int     `json:"email_dropped_count"`
	Delivered        int     `json:"email_delivered_count"`
	Bounced          int     `json:"email_bounced_count"`
	Opened           int     `json:"email_opened_count"`
	Clicked          int     `json:"email_clicked_count"`
	Unsubscribed     int     `json:"email_unsubscribed_count"`
	SpamReported     int     `json:"email_spam_reported_count"`
	DeliveredRate    float64 `json:"email_delivered_rate"` // rates are in percent
	OpenedRate       float64 `json:"email_opened_rate"`
	ClickedRate      float64 `json:"email_clicked_rate"`
	SpamReportedRate float64 `json:"email_spam_reported_rate"`
}

// EmailStatistics reads GET /platform/analytics/emails (sheet 2.6; 60 an hour;
// plans Pro and Advanced). campaigns restricts it; none is all. ErrForbidden if the
// plan has none, ErrInvalid for a period that the plan does not cover.
func (m *Marketing) EmailStatistics(ctx context.Context, c *enlace.Conn, p Period, campaigns ...int64) ([]EmailStatistic, error) {
	query := url.Values{}
	for _, id := range campaigns {
		query.Add("campaign_id[]", strconv.FormatInt(id, 10))
	}
	return readStatistics[EmailStatistic](ctx, m, c, "analytics_emails", p, query)
}

// WorkflowEmailStatistic is what became of one e-mail of a workflow.
type WorkflowEmailStatistic struct {
	WorkflowID       string  `json:"workflow_id"`
	WorkflowName     string  `json:"workflow_name"`
	WorkflowActionID string  `json:"workflow_action_id"`
	EmailName        string  `json:"email_name"`
	CreatedAt        string  `json:"workflow_created_at"`
	UpdatedAt        string  `json:"workflow_updated_at"`
	Dropped          int     `json:"email_dropped_count"`
	Delivered        int     `json:"email_delivered_count"`
	Bounced          int     `json:"email_bounced_unique_count"`
	Opened           int     `json:"email_opened_unique_count"`
	Clicked          int     `json:"email_clicked_unique_count"`
	Unsubscribed     int     `json:"email_unsubscribed_count"`
	SpamReported     int     `json:"email_spam_reported_count"`
	DeliveredRate    float64 `json:"email_delivered_rate"`
	OpenedRate       float64 `json:"email_opened_rate"`
	ClickedRate      float64 `json:"email_clicked_rate"`
	SpamReportedRate float64 `json:"email_spam_reported_rate"`
}

// WorkflowEmailStatistics reads GET /platform/analytics/workflow_emails, as
// [Marketing.EmailStatistics]. workflows restricts it; none is all (sheet 2.6; 60
// an hour). ErrForbidden with another plan.
func (m *Marketing) WorkflowEmailStatistics(ctx context.Context, c *enlace.Conn, p Period, workflows ...string) ([]WorkflowEmailStatistic, error) {
	return readStatistics[WorkflowEmailStatistic](ctx, m, c, "analytics_workflow_emails", p, url.Values{"workflow_id[]": workflows})
}

// ConversionStatistic is how often an asset was seen and converted.
type ConversionStatistic struct {
	AssetID         int64
	AssetIdentifier string
	AssetType       string // LandingPage, Popup or Forms
	CreatedAt       string
	UpdatedAt       string
	Visits          int
	Conversions     int
	ConversionRate  float64 // in percent
}

// UnmarshalJSON reads the members that are sent as well as those that are
// documented, and numbers that are sent as text (sheet Q22).
func (s *ConversionStatistic) UnmarshalJSON(data []byte) error {
	var raw struct {
		AssetID         int64       `json:"asset_id"`
		AssetIdentifier string      `json:"asset_identifier"`
		Type            string      `json:"assets_type"`
		DocumentedType  string      `json:"asset_type"`
		CreatedAt       string      `json:"asset_created_at"`
		UpdatedAt       string      `json:"asset_updated_at"`
		Visits          json.Number `json:"visits_count"`
		Count           int         `json:"conversion_count"`
		DocumentedCount int         `json:"conversions_count"`
		Rate            float64     `json:"conversion_rate"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	visits, _ := raw.Visits.Float64()
	*s = ConversionStatistic{AssetID: raw.AssetID, AssetIdentifier: raw.AssetIdentifier, AssetType: cmp.Or(raw.Type, raw.DocumentedType),
		CreatedAt: raw.CreatedAt, UpdatedAt: raw.UpdatedAt, Visits: int(visits), Conversions: cmp.Or(raw.Count, raw.DocumentedCount),
		ConversionRate: raw.Rate}
	return nil
}

// ConversionStatistics reads GET /platform/analytics/conversions, as
// [Marketing.EmailStatistics]. assetTypes restricts it; none is all
// (sheet 2.6; 60 an hour). ErrForbidden with another plan.
func (m *Marketing) ConversionStatistics(ctx context.Context, c *enlace.Conn, p Period, assetTypes ...string) ([]ConversionStatistic, error) {
	return readStatistics[ConversionStatistic](ctx, m, c, "analytics_conversions", p, url.Values{"assets_type[]": assetTypes})
}

// FunnelStatistic is the funnel of one day, week or month.
type FunnelStatistic struct {
	ReferenceDay  string `json:"reference_day"`
	Visitors      int    `json:"visitors_count"`
	Contacts      int    `json:"contacts_count"`
	Qualified     int    `json:"qualified_contacts_count"`
	Opportunities int    `json:"opportunities_count"`
	Sales         int    `json:"sales_count"`
}

// FunnelStatistics reads GET /platform/analytics/funnel, as
// [Marketing.EmailStatistics]; plan Advanced, ErrForbidden with another one (sheet
// 2.6; 60 an hour). groupedBy is daily, weekly or monthly; empty is daily.
func (m *Marketing) FunnelStatistics(ctx context.Context, c *enlace.Conn, p Period, groupedBy string) ([]FunnelStatistic, error) {
	query := url.Values{}
	if groupedBy != "" {
		query.Set("grouped_by", groupedBy)
	}
	return readStatistics[FunnelStatistic](ctx, m, c, "analytics_funnel", p, query)
}

func readStatistics[T any](ctx context.Context, m *Marketing, c *enlace.Conn, name string, p Period, query url.Values) ([]T, error) {
	body, err := m.statistics(ctx, c, statistics[name], p, query)
	if err != nil {
		return nil, err
	}
	var answer map[string]json.RawMessage
	if err := decode("analytics", body, &answer); err != nil {
		return nil, err
	}
	var items []T
	err = decode("analytics", answer[statistics[name].shape.lists[0]], &items)
	return items, err
}
