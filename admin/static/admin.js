// The script of the pages: what the server's HTML cannot do by itself. Everything
// works without it but live updates, copying and keys.
'use strict'
{
  const address = file => new URL(file, document.baseURI).href
  const { worker, scripts } = document.currentScript.dataset
  const workerAddress = address(worker)
  const liveScripts = scripts ? scripts.split(' ').map(address) : []

  // Under the content policy a string becomes HTML only here: it is what htmx got
  // from our own server. No string becomes script, one address a worker, and those
  // that the page names are scripts.
  if (window.trustedTypes) {
    trustedTypes.createPolicy('default', {
      createHTML: html => html,
      createScriptURL: address => address === workerAddress || liveScripts.includes(address) ? address : null,
    })
  }

  // SharedSource looks like an EventSource and shares one connection with all tabs,
  // since browsers open no more than six to a host over HTTP/1.1.
  class SharedSource extends EventTarget {
    constructor(address) {
      super()
      this.readyState = 0
      this.port = new SharedWorker(workerAddress, 'enlace-live').port
      this.port.onmessage = ({ data }) => {
        if (data.name) {
          this.dispatchEvent(new MessageEvent(data.name, { data: data.data, lastEventId: data.number }))
        } else if (this.readyState !== 2) {
          this.readyState = data.open ? 1 : 0
          if (data.open) this.onopen?.(new Event('open'))
          showState(data.open ? 'open' : 'lost')
        }
      }
      this.port.postMessage({ open: new URL(address, document.baseURI).href })
    }
    addEventListener(name, listener) {
      super.addEventListener(name, listener)
      this.port.postMessage({ listen: name })
    }
    close() {
      this.readyState = 2
      this.port.postMessage({ close: true })
      this.port.close()
    }
  }

  const state = document.getElementById('live-state')
  const pauseButton = document.getElementById('live-pause')
  let paused = false, connected = false, number = state?.dataset.number

  function showState(now) {
    connected = now === 'open'
    if (!state) return
    state.hidden = false
    state.dataset.now = paused ? 'paused' : now
    state.textContent = state.dataset[state.dataset.now]
  }

  function setPaused(value) {
    paused = value
    pauseButton.setAttribute('aria-pressed', String(paused))
    showState(connected ? 'open' : 'lost')
    if (!paused) poll()
  }

  // poll reads the live parts anew: for what other processes did, and while there
  // is no stream.
  function poll() {
    for (const element of document.querySelectorAll('[data-live]')) element.dispatchEvent(new Event('poll'))
  }

  // What keeps a page live comes when the page has been painted, and is complete: htmx
  // takes up its work at once then.
  if (liveScripts.length) {
    addEventListener('load', () => document.hidden ? loadLive() : requestAnimationFrame(() => setTimeout(loadLive)))
  }

  function loadLive() {
    const elements = liveScripts.map(address => Object.assign(document.createElement('script'), { async: false, src: address }))
    elements.at(-1).addEventListener('load', startLive)
    document.head.append(...elements)
  }

  function startLive() {
    // What the reader has opened stays open when a part of the page is replaced.
    Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) => !(name === 'open' && element.matches('details'))
    const sources = new Set()
    htmx.createEventSource = address => {
      const source = window.SharedWorker ? new SharedSource(address) : new EventSource(address)
      if (!window.SharedWorker) {
        source.addEventListener('open', () => showState('open'))
        source.addEventListener('error', () => showState('lost'))
      }
      source.addEventListener('hello', event => {
        if (event.lastEventId !== number) poll() // something happened between the page and the stream
        number = event.lastEventId
      })
      sources.add(source)
      return source
    }
    let missed = false, next = 0, timer = 0
    pauseButton.hidden = false
    pauseButton.addEventListener('click', () => setPaused(!paused))
    document.body.addEventListener('htmx:beforeRequest', event => {
      const reading = event.target.matches('[data-follow]') && scrollY > 200 // further down the page stands still
      const open = reading || document.activeElement?.closest('[data-live] form') || document.querySelector('[data-select]:checked')
      if (!event.target.matches('[data-live]')) return
      const now = Date.now()
      if (paused || document.hidden || open) {
        missed = true
      } else if (now < next) { // often enough; but the last change must not be lost
        timer ||= setTimeout(() => { timer = 0; poll() }, next - now)
      } else {
        next = now + 700
        return
      }
      event.preventDefault()
    })
    for (const element of document.querySelectorAll('[data-live]')) htmx.trigger(element, 'htmx:afterProcessNode') // the extensions were not there yet
    let ticks = 0
    setInterval(() => { if (++ticks % (connected ? 6 : 1) === 0) poll() }, 5000)
    const catchUp = () => {
      if (document.hidden || !missed) return
      missed = false
      poll()
    }
    document.addEventListener('visibilitychange', catchUp)
    document.addEventListener('focusout', catchUp)
    addEventListener('scroll', () => { if (scrollY < 100) catchUp() }, { passive: true })
    addEventListener('pagehide', () => sources.forEach(source => source.close()))
    addEventListener('pageshow', event => { if (event.persisted) location.reload() })
  }

  for (const button of document.querySelectorAll('[data-copy]')) {
    button.hidden = false
    button.addEventListener('click', async () => {
      const source = document.getElementById(button.dataset.copy)
      const text = source.value ?? source.textContent
      try {
        await navigator.clipboard.writeText(text)
      } catch { // no clipboard on plain http
        getSelection().selectAllChildren(source)
        source.select?.()
        document.execCommand('copy')
      }
      button.dataset.copied = ''
      setTimeout(() => delete button.dataset.copied, 2000)
    })
  }

  document.documentElement.classList.add('script')
  document.addEventListener('change', ({ target }) => {
    if (!target.matches('[data-select-all]')) return
    for (const box of document.querySelectorAll('[data-select]')) box.checked = target.checked
  })

  document.getElementById('faults')?.focus()

  const pages = { o: 'overview', i: 'integrations', h: 'health', m: 'metrics', r: 'runs', c: 'console', w: 'webhooks', s: 'schedules', l: 'logs', a: 'audit', f: 'flags' }
  let leader = 0
  document.addEventListener('keydown', event => {
    if (document.documentElement.dataset.keys === 'off') return
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, select, textarea, [contenteditable]')) return
    if (event.key === 'g') { leader = Date.now(); return }
    if (Date.now() - leader < 1500 && pages[event.key]) document.querySelector(`.side [data-key="${pages[event.key]}"]`)?.click()
    else if (event.key === '/') { event.preventDefault(); document.querySelector('[data-search]')?.focus() }
    else if (event.key === 'p' && pauseButton) setPaused(!paused)
    else if (event.key === '?') document.querySelector('.who')?.click()
    else if (event.key === 'j' || event.key === 'k') {
      const rows = [...document.querySelectorAll('main tbody tr:has(a)')], now = rows.findIndex(row => row.contains(document.activeElement))
      rows[Math.max(0, now + (event.key === 'j' ? 1 : -1))]?.querySelector('a').focus()
    } else if (event.key === 'x') document.activeElement.closest('tr')?.querySelector('[data-select]')?.click()
    leader = 0
  })
}
