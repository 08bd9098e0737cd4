<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de" sourcelanguage="en">
 <context>
  <name>XR2MRI</name>
  <message>
   <source>XR2MRI</source>
   <translation>XR2MRI</translation>
  </message>
  <message>
   <source>Generates a synthetic knee MRI from one knee radiograph and its graded features, on an XR2MRI server: that of an institution, or one that it installs on this computer. For research, never for diagnosis.</source>
   <translation>Erzeugt eine synthetische Knie-MRT aus einer Röntgenaufnahme des Knies und ihren befundeten Merkmalen, auf einem XR2MRI-Server: dem einer Einrichtung oder einem, den das Modul auf diesem Rechner installiert. Für die Forschung, niemals zur Diagnose.</translation>
  </message>
  <message>
   <source>Tutorial</source>
   <translation>Anleitung</translation>
  </message>
  <message>
   <source>Questions</source>
   <translation>Fragen</translation>
  </message>
  <message>
   <source>After Wang et al., Feasibility Study of a Diffusion-Based Model for Cross-Modal Generation of Knee MRI from X-ray. Independent of its authors. Built on MONAI, MONAI Label, PyTorch and diffusers.</source>
   <translation>Nach Wang et al., Feasibility Study of a Diffusion-Based Model for Cross-Modal Generation of Knee MRI from X-ray. Unabhängig von dessen Autoren. Beruht auf MONAI, MONAI Label, PyTorch und diffusers.</translation>
  </message>
  <message>
   <source>Server</source>
   <translation>Server</translation>
  </message>
  <message>
   <source>On this computer</source>
   <translation>Auf diesem Rechner</translation>
  </message>
  <message>
   <source>Install the server here once; the module starts and ends it</source>
   <translation>Installieren Sie den Server hier einmal; das Modul startet und beendet ihn</translation>
  </message>
  <message>
   <source>A server of your institution</source>
   <translation>Ein Server Ihrer Einrichtung</translation>
  </message>
  <message>
   <source>Somebody runs a server, and has told you its address</source>
   <translation>Jemand betreibt einen Server und hat Ihnen seine Adresse genannt</translation>
  </message>
  <message>
   <source>Folder:</source>
   <translation>Ordner:</translation>
  </message>
  <message>
   <source>Where all of it is kept, and nothing anywhere else</source>
   <translation>Wo alles davon liegt, und nirgends sonst etwas</translation>
  </message>
  <message>
   <source>From:</source>
   <translation>Aus:</translation>
  </message>
  <message>
   <source>Empty: what is published, downloaded. A folder with all wheels, as your administrator makes it: nothing is downloaded. One with the wheel of XR2MRI alone: the others are downloaded</source>
   <translation>Leer: was veröffentlicht ist, wird heruntergeladen. Ein Ordner mit allen Wheels, wie Ihr Administrator ihn anlegt: nichts wird heruntergeladen. Einer mit dem Wheel von XR2MRI allein: die anderen werden heruntergeladen</translation>
  </message>
  <message>
   <source>Install...</source>
   <translation>Installieren...</translation>
  </message>
  <message>
   <source>Say what will be downloaded, and where to; then install it</source>
   <translation>Sagen, was heruntergeladen wird und wohin; dann installieren</translation>
  </message>
  <message>
   <source>Start</source>
   <translation>Starten</translation>
  </message>
  <message>
   <source>Start the server, and connect to it</source>
   <translation>Den Server starten und mit ihm verbinden</translation>
  </message>
  <message>
   <source>Uninstall...</source>
   <translation>Deinstallieren...</translation>
  </message>
  <message>
   <source>Stop the server and remove all of it</source>
   <translation>Den Server anhalten und ganz entfernen</translation>
  </message>
  <message>
   <source>Log</source>
   <translation>Protokoll</translation>
  </message>
  <message>
   <source>Show what the installation and the server print</source>
   <translation>Zeigen, was die Installation und der Server ausgeben</translation>
  </message>
  <message>
   <source>Address of the XR2MRI server, such as http://127.0.0.1:8000 or https://mri.hospital.example</source>
   <translation>Adresse des XR2MRI-Servers, etwa http://127.0.0.1:8000 oder https://mri.hospital.example</translation>
  </message>
  <message>
   <source>Connect</source>
   <translation>Verbinden</translation>
  </message>
  <message>
   <source>Ask the server who it is and what it offers</source>
   <translation>Den Server fragen, wer er ist und was er bietet</translation>
  </message>
  <message>
   <source>Name</source>
   <translation>Name</translation>
  </message>
  <message>
   <source>Password</source>
   <translation>Passwort</translation>
  </message>
  <message>
   <source>Sent to the server and forgotten; the token that it gives is kept in memory only</source>
   <translation>Geht an den Server und wird vergessen; das Token, das er gibt, bleibt nur im Speicher</translation>
  </message>
  <message>
   <source>Log in</source>
   <translation>Anmelden</translation>
  </message>
  <message>
   <source>CA file:</source>
   <translation>CA-Datei:</translation>
  </message>
  <message>
   <source>Certificates (PEM) of the authority that vouches for the server</source>
   <translation>Zertifikate (PEM) der Stelle, die für den Server bürgt</translation>
  </message>
  <message>
   <source>Radiograph</source>
   <translation>Aufnahme</translation>
  </message>
  <message>
   <source>Radiograph:</source>
   <translation>Aufnahme:</translation>
  </message>
  <message>
   <source>A radiograph of one knee: a 2-D image or a volume of one slice, grey or RGB</source>
   <translation>Eine Röntgenaufnahme eines Knies: ein 2-D-Bild oder ein Volumen mit einer Schicht, grau oder RGB</translation>
  </message>
  <message>
   <source>Sample</source>
   <translation>Beispiel</translation>
  </message>
  <message>
   <source>Load the radiograph of a synthetic phantom, with its features; the arrow offers each of them</source>
   <translation>Die Röntgenaufnahme eines synthetischen Phantoms mit ihren Merkmalen laden; der Pfeil bietet jede an</translation>
  </message>
  <message>
   <source>Arrange the views?</source>
   <translation>Ansichten anordnen?</translation>
  </message>
  <message>
   <source>Yes</source>
   <translation>Ja</translation>
  </message>
  <message>
   <source>Show the radiograph beside the coronal, sagittal and axial views and the volume in 3-D, now and from now on</source>
   <translation>Die Röntgenaufnahme neben koronaler, sagittaler und axialer Ansicht und dem Volumen in 3-D zeigen, jetzt und künftig</translation>
  </message>
  <message>
   <source>Keep mine</source>
   <translation>Meine behalten</translation>
  </message>
  <message>
   <source>Leave the layout as it is, now and from now on; the options can change that</source>
   <translation>Die Anordnung lassen, wie sie ist, jetzt und künftig; die Optionen können das ändern</translation>
  </message>
  <message>
   <source>Side:</source>
   <translation>Seite:</translation>
  </message>
  <message>
   <source>Which knee of the patient it is</source>
   <translation>Welches Knie des Patienten es ist</translation>
  </message>
  <message>
   <source>Knee:</source>
   <translation>Knie:</translation>
  </message>
  <message>
   <source>Show box</source>
   <translation>Rahmen</translation>
  </message>
  <message>
   <source>Show the square around the knee that the server looks at; drag it where it is wrong</source>
   <translation>Das Quadrat um das Knie zeigen, das der Server betrachtet; ziehen Sie es, wo es falsch ist</translation>
  </message>
  <message>
   <source>Reset</source>
   <translation>Zurücksetzen</translation>
  </message>
  <message>
   <source>Put the box back where it was proposed</source>
   <translation>Den Rahmen zurück auf den Vorschlag setzen</translation>
  </message>
  <message>
   <source>Radiographic features</source>
   <translation>Radiographische Merkmale</translation>
  </message>
  <message>
   <source>Keys: a digit grades, arrows step, Delete is not read, Tab goes on.</source>
   <translation>Tasten: eine Ziffer ist der Grad, Pfeile ändern ihn, Entf heißt nicht befundet, Tab geht weiter.</translation>
  </message>
  <message>
   <source>Click a field, or go to it with Tab. 0 to 9: its grade. Left and right: the grade beside. Delete, Backspace or -: not read</source>
   <translation>Klicken Sie ein Feld an, oder gehen Sie mit Tab hin. 0 bis 9: sein Grad. Links und rechts: der Grad daneben. Entf, Rücktaste oder -: nicht befundet</translation>
  </message>
  <message>
   <source>Load...</source>
   <translation>Laden...</translation>
  </message>
  <message>
   <source>Read the grades from a JSON file</source>
   <translation>Die Grade aus einer JSON-Datei lesen</translation>
  </message>
  <message>
   <source>Save...</source>
   <translation>Speichern...</translation>
  </message>
  <message>
   <source>Write the grades into a JSON file</source>
   <translation>Die Grade in eine JSON-Datei schreiben</translation>
  </message>
  <message>
   <source>Paste row</source>
   <translation>Einfügen</translation>
  </message>
  <message>
   <source>Take the grades from a row of a readings table such as OAI's kxr_sq_bu: copy the header line and one line below it</source>
   <translation>Die Grade aus einer Zeile einer Befundtabelle wie OAIs kxr_sq_bu nehmen: kopieren Sie die Kopfzeile und eine Zeile darunter</translation>
  </message>
  <message>
   <source>Clear</source>
   <translation>Leeren</translation>
  </message>
  <message>
   <source>Nothing was read</source>
   <translation>Nichts wurde befundet</translation>
  </message>
  <message>
   <source>Options</source>
   <translation>Optionen</translation>
  </message>
  <message>
   <source>Slices:</source>
   <translation>Schichten:</translation>
  </message>
  <message>
   <source>Slices of the volume from the back of the knee to its front</source>
   <translation>Schichten des Volumens von der Rückseite des Knies zur Vorderseite</translation>
  </message>
  <message>
   <source>Steps:</source>
   <translation>Schritte:</translation>
  </message>
  <message>
   <source>Denoising steps: more take longer</source>
   <translation>Schritte der Entrauschung: mehr dauern länger</translation>
  </message>
  <message>
   <source>Sampler:</source>
   <translation>Verfahren:</translation>
  </message>
  <message>
   <source>How the denoising steps are taken</source>
   <translation>Wie die Schritte der Entrauschung gegangen werden</translation>
  </message>
  <message>
   <source>Guidance:</source>
   <translation>Führung:</translation>
  </message>
  <message>
   <source>How strongly the features act: 1 as trained, 0 not at all</source>
   <translation>Wie stark die Merkmale wirken: 1 wie trainiert, 0 gar nicht</translation>
  </message>
  <message>
   <source>Seed:</source>
   <translation>Startwert:</translation>
  </message>
  <message>
   <source>A new one each time</source>
   <translation>Jedes Mal ein neuer</translation>
  </message>
  <message>
   <source>The same seed gives the same volume</source>
   <translation>Derselbe Startwert gibt dasselbe Volumen</translation>
  </message>
  <message>
   <source>Samples:</source>
   <translation>Ziehungen:</translation>
  </message>
  <message>
   <source>Volumes to draw; where they differ, the model does not know</source>
   <translation>Volumen, die gezogen werden; wo sie sich unterscheiden, weiß das Modell es nicht</translation>
  </message>
  <message>
   <source>Volume:</source>
   <translation>Volumen:</translation>
  </message>
  <message>
   <source>A draw looks like a real volume; the best guess is the mean of all draws</source>
   <translation>Eine Ziehung sieht aus wie ein echtes Volumen; die beste Schätzung ist das Mittel aller Ziehungen</translation>
  </message>
  <message>
   <source>Views:</source>
   <translation>Ansichten:</translation>
  </message>
  <message>
   <source>Arrange them for radiograph and volume</source>
   <translation>Für Aufnahme und Volumen anordnen</translation>
  </message>
  <message>
   <source>Whenever a radiograph is chosen or a volume comes; the layout is also in Slicer's menu of layouts</source>
   <translation>Wann immer eine Aufnahme gewählt wird oder ein Volumen kommt; die Anordnung steht auch in Slicers Menü</translation>
  </message>
  <message>
   <source>Privacy:</source>
   <translation>Datenschutz:</translation>
  </message>
  <message>
   <source>Send the pixels only, no DICOM header</source>
   <translation>Nur Bildpunkte senden, keinen DICOM-Kopf</translation>
  </message>
  <message>
   <source>The patient's name and ID stay here. A DICOM export is then a study of its own</source>
   <translation>Name und Kennung des Patienten bleiben hier. Ein DICOM-Export ist dann eine eigene Studie</translation>
  </message>
  <message>
   <source>Result</source>
   <translation>Ergebnis</translation>
  </message>
  <message>
   <source>Generated volumes</source>
   <translation>Erzeugte Volumen</translation>
  </message>
  <message>
   <source>Overlay:</source>
   <translation>Überlagern:</translation>
  </message>
  <message>
   <source>What is added to the volume in colour</source>
   <translation>Was dem Volumen in Farbe überlagert wird</translation>
  </message>
  <message>
   <source>Show views</source>
   <translation>Ansichten zeigen</translation>
  </message>
  <message>
   <source>Radiograph, coronal, sagittal and axial views, and the volume in 3-D</source>
   <translation>Röntgenaufnahme, koronale, sagittale und axiale Ansicht und das Volumen in 3-D</translation>
  </message>
  <message>
   <source>Report...</source>
   <translation>Bericht...</translation>
  </message>
  <message>
   <source>Write a page with the radiograph, the form, three planes and what they were made with (PDF or HTML)</source>
   <translation>Eine Seite mit Röntgenaufnahme, Formular, drei Ebenen und womit sie erzeugt wurden schreiben (PDF oder HTML)</translation>
  </message>
  <message>
   <source>Export to DICOM database</source>
   <translation>In die DICOM-Datenbank exportieren</translation>
  </message>
  <message>
   <source>Have the server make an MR series of it, in the patient's study; it is generated again from its seed</source>
   <translation>Den Server eine MR-Serie daraus machen lassen, in der Studie des Patienten; sie wird aus ihrem Startwert neu erzeugt</translation>
  </message>
  <message>
   <source>Compare</source>
   <translation>Vergleichen</translation>
  </message>
  <message>
   <source>What if</source>
   <translation>Was wäre wenn</translation>
  </message>
  <message>
   <source>Feature:</source>
   <translation>Merkmal:</translation>
  </message>
  <message>
   <source>The feature to change; all others and the seed stay</source>
   <translation>Das Merkmal, das sich ändert; alle anderen und der Startwert bleiben</translation>
  </message>
  <message>
   <source>Grade:</source>
   <translation>Grad:</translation>
  </message>
  <message>
   <source>What if?</source>
   <translation>Was dann?</translation>
  </message>
  <message>
   <source>Generate again and show what changes</source>
   <translation>Noch einmal erzeugen und zeigen, was sich ändert</translation>
  </message>
  <message>
   <source>With a real MRI</source>
   <translation>Mit einer echten MRT</translation>
  </message>
  <message>
   <source>Real MRI:</source>
   <translation>Echte MRT:</translation>
  </message>
  <message>
   <source>An MRI of the same knee</source>
   <translation>Eine MRT desselben Knies</translation>
  </message>
  <message>
   <source>Align the centres</source>
   <translation>Mitten ausrichten</translation>
  </message>
  <message>
   <source>Move the real MRI onto the generated one for the comparison: they are not registered</source>
   <translation>Die echte MRT für den Vergleich auf die erzeugte schieben: sie sind nicht registriert</translation>
  </message>
  <message>
   <source>Difference and Sobel maps, PSNR and SSIM of each slice</source>
   <translation>Differenz- und Sobel-Karten, PSNR und SSIM jeder Schicht</translation>
  </message>
  <message>
   <source>Several radiographs</source>
   <translation>Mehrere Röntgenaufnahmen</translation>
  </message>
  <message>
   <source>Folder...</source>
   <translation>Ordner...</translation>
  </message>
  <message>
   <source>All radiographs in a folder and below. Forms: NAME.json beside NAME.png, or a table (CSV) with a column "file"</source>
   <translation>Alle Röntgenaufnahmen in einem Ordner und darunter. Formulare: NAME.json neben NAME.png, oder eine Tabelle (CSV) mit einer Spalte "file"</translation>
  </message>
  <message>
   <source>DICOM selection</source>
   <translation>DICOM-Auswahl</translation>
  </message>
  <message>
   <source>The series that are selected in the browser of the module DICOM</source>
   <translation>Die Serien, die im Browser des Moduls DICOM ausgewählt sind</translation>
  </message>
  <message>
   <source>All radiographs below a folder, study or patient of the scene</source>
   <translation>Alle Röntgenaufnahmen unter einem Ordner, einer Studie oder einem Patienten der Szene</translation>
  </message>
  <message>
   <source>Generate all</source>
   <translation>Alle erzeugen</translation>
  </message>
  <message>
   <source>One after another, with the options above; what is done already stays</source>
   <translation>Eine nach der anderen, mit den Optionen oben; was fertig ist, bleibt</translation>
  </message>
  <message>
   <source>Export...</source>
   <translation>Exportieren...</translation>
  </message>
  <message>
   <source>Write the volumes as .nrrd files and a table of them into a folder</source>
   <translation>Die Volumen als .nrrd-Dateien und eine Tabelle davon in einen Ordner schreiben</translation>
  </message>
  <message>
   <source>Empty the table; volumes stay in the scene</source>
   <translation>Die Tabelle leeren; Volumen bleiben in der Szene</translation>
  </message>
  <message>
   <source>Generate MRI</source>
   <translation>MRT erzeugen</translation>
  </message>
  <message>
   <source>Cancel</source>
   <translation>Abbrechen</translation>
  </message>
  <message>
   <source>End it, here and on the server</source>
   <translation>Beenden, hier und auf dem Server</translation>
  </message>
  <message>
   <source>For research only. What it draws is synthetic: never for diagnosis.</source>
   <translation>Nur zur Forschung. Was gezeichnet wird, ist synthetisch: nie zur Diagnose.</translation>
  </message>
 </context>
 <context>
  <name>batch.forms</name>
  <message>
   <source>{path} is too large for a form.</source>
   <translation>{path} ist zu groß für ein Formular.</translation>
  </message>
  <message>
   <source>{path} cannot be read.</source>
   <translation>{path} ist nicht lesbar.</translation>
  </message>
  <message>
   <source>several are called so; give the path below the folder</source>
   <translation>mehrere heißen so; geben Sie den Pfad unterhalb des Ordners an</translation>
  </message>
  <message>
   <source>an earlier row is of the same radiograph</source>
   <translation>eine frühere Zeile gehört zur selben Aufnahme</translation>
  </message>
  <message>
   <source>no such radiograph in the folder</source>
   <translation>keine solche Röntgenaufnahme im Ordner</translation>
  </message>
  <message>
   <source>no such radiograph in the folder; the table's letters are guessed: save it as CSV UTF-8</source>
   <translation>keine solche Röntgenaufnahme im Ordner; die Buchstaben der Tabelle sind geraten: Als CSV UTF-8 speichern</translation>
  </message>
 </context>
 <context>
  <name>batch.items</name>
  <message>
   <source>{folder} has more than {n} radiographs.</source>
   <translation>{folder} enthält mehr als {n} Röntgenaufnahmen.</translation>
  </message>
  <message>
   <source>There is no radiograph in {folder}.</source>
   <translation>In {folder} ist keine Röntgenaufnahme.</translation>
  </message>
  <message>
   <source>The visual DICOM browser of this Slicer does not tell its selection.</source>
   <translation>Der visuelle DICOM-Browser dieser Slicer-Version gibt seine Auswahl nicht preis.</translation>
  </message>
  <message>
   <source>Switch back to the usual one in the module DICOM, and select the series there.</source>
   <translation>Schalten Sie im Modul DICOM auf den gewöhnlichen um und wählen Sie die Serien dort aus.</translation>
  </message>
  <message>
   <source>{path} cannot be read.</source>
   <translation>{path} ist nicht lesbar.</translation>
  </message>
  <message>
   <source>{name} has no picture.</source>
   <translation>{name} enthält kein Bild.</translation>
  </message>
  <message>
   <source>{name} has gone.</source>
   <translation>{name} ist nicht mehr da.</translation>
  </message>
 </context>
 <context>
  <name>batch.run</name>
  <message>
   <source>seed {n}</source>
   <translation>Startwert {n}</translation>
  </message>
  <message>
   <source>{n} of {m} slices</source>
   <translation>{n} von {m} Schichten</translation>
  </message>
 </context>
 <context>
  <name>batch.table</name>
  <message>
   <source>{path} cannot be written: {why}.</source>
   <translation>{path} kann nicht geschrieben werden: {why}.</translation>
  </message>
 </context>
 <context>
  <name>XR2MRILib.compare</name>
  <message>
   <source>{a} minus {b}</source>
   <translation>{a} minus {b}</translation>
  </message>
  <message>
   <source>{a} minus {b}, edges</source>
   <translation>{a} minus {b}, Kanten</translation>
  </message>
  <message>
   <source>{name} is no grey volume.</source>
   <translation>{name} ist kein Grauwertvolumen.</translation>
  </message>
  <message>
   <source>{name} lies under a transform that is not linear.</source>
   <translation>{name} liegt unter einer Transformation, die nicht linear ist.</translation>
  </message>
  <message>
   <source>Harden the transform: right-click the volume in the module Data.</source>
   <translation>Wenden Sie die Transformation fest an (Harden transform): Rechtsklick auf das Volumen im Modul Data.</translation>
  </message>
  <message>
   <source>{a} against {b}</source>
   <translation>{a} gegen {b}</translation>
  </message>
  <message>
   <source>Slice</source>
   <translation>Schicht</translation>
  </message>
  <message>
   <source>Position A (mm)</source>
   <translation>Position A (mm)</translation>
  </message>
  <message>
   <source>PSNR (dB)</source>
   <translation>PSNR (dB)</translation>
  </message>
  <message>
   <source>SSIM</source>
   <translation>SSIM</translation>
  </message>
 </context>
 <context>
  <name>XR2MRILib.computer</name>
  <message>
   <source>The server is running: another Slicer has started it.</source>
   <translation>Der Server läuft: ein anderer Slicer hat ihn gestartet.</translation>
  </message>
  <message>
   <source>Stop it there, and install again.</source>
   <translation>Halten Sie ihn dort an, und installieren Sie noch einmal.</translation>
  </message>
  <message>
   <source>Stop it there, and uninstall again.</source>
   <translation>Halten Sie ihn dort an, und deinstallieren Sie noch einmal.</translation>
  </message>
 </context>
 <context>
  <name>XR2MRILib.dicom_export</name>
  <message>
   <source>Slicer's DICOM database is not open. Open the module DICOM once.</source>
   <translation>Slicers DICOM-Datenbank ist nicht geöffnet. Öffnen Sie einmal das Modul DICOM.</translation>
  </message>
  <message>
   <source>The radiograph of {name} has gone.</source>
   <translation>Die Röntgenaufnahme von {name} ist nicht mehr da.</translation>
  </message>
  <message>
   <source>Slicer's DICOM database took {n} of {m} images.</source>
   <translation>Slicers DICOM-Datenbank hat {n} von {m} Bildern angenommen.</translation>
  </message>
  <message>
   <source>Nothing can be written to {folder}: {why}.</source>
   <translation>In {folder} kann nichts geschrieben werden: {why}.</translation>
  </message>
 </context>
 <context>
  <name>XR2MRILib.driver</name>
  <message>
   <source>The module is busy.</source>
   <translation>Das Modul ist beschäftigt.</translation>
  </message>
  <message>
   <source>Wait until it is done, or cancel it.</source>
   <translation>Warten Sie, bis es fertig ist, oder brechen Sie es ab.</translation>
  </message>
 </context>
 <context>
  <name>XR2MRILib.form</name>
  <message>
   <source>not read: leave it open</source>
   <translation>nicht befundet: offen lassen</translation>
  </message>
  <message>
   <source>not read</source>
   <translation>nicht befundet</translation>
  </message>
  <message>
   <source>{name} ({title}) has {value}.</source>
   <translation>{name} ({title}) hat {value}.</translation>
  </message>
  <message>
   <source>Accepted are {x}, or nothing.</source>
   <translation>Zulässig sind {x}, oder nichts.</translation>
  </message>
  <message>
   <source>The server's form cannot be used: {x}.</source>
   <translation>Das Formular des Servers ist nicht brauchbar: {x}.</translation>
  </message>
  <message>
   <source>Update the server or the extension.</source>
   <translation>Aktualisieren Sie den Server oder die Erweiterung.</translation>
  </message>
  <message>
   <source>No feature is called {x}.</source>
   <translation>Kein Merkmal heißt {x}.</translation>
  </message>
  <message>
   <source>Known are {a} to {b}.</source>
   <translation>Bekannt sind {a} bis {b}.</translation>
  </message>
  <message>
   <source>{name} ({title}) is given twice.</source>
   <translation>{name} ({title}) ist zweimal angegeben.</translation>
  </message>
  <message>
   <source>Keep one of them.</source>
   <translation>Behalten Sie eines davon.</translation>
  </message>
  <message>
   <source>{path} cannot be written: {why}.</source>
   <translation>{path} kann nicht geschrieben werden: {why}.</translation>
  </message>
  <message>
   <source>{path} is too large for a form.</source>
   <translation>{path} ist zu groß für ein Formular.</translation>
  </message>
  <message>
   <source>{path} cannot be read: {why}.</source>
   <translation>{path} ist nicht lesbar: {why}.</translation>
  </message>
  <message>
   <source>it is not text</source>
   <translation>es ist kein Text</translation>
  </message>
  <message>
   <source>Write it as {"V00XRKL": 2}.</source>
   <translation>Schreiben Sie es als {"V00XRKL": 2}.</translation>
  </message>
  <message>
   <source>This is not JSON: {x}.</source>
   <translation>Das ist kein JSON: {x}.</translation>
  </message>
  <message>
   <source>This JSON is no object of names and grades.</source>
   <translation>Dieses JSON ist kein Objekt aus Namen und Graden.</translation>
  </message>
  <message>
   <source>Copy the line with the names of the columns and one line below it.</source>
   <translation>Kopieren Sie die Zeile mit den Spaltennamen und eine Zeile darunter.</translation>
  </message>
  <message>
   <source>The text is too long for one row.</source>
   <translation>Der Text ist zu lang für eine Zeile.</translation>
  </message>
  <message>
   <source>There is nothing to read.</source>
   <translation>Es gibt nichts zu lesen.</translation>
  </message>
  <message>
   <source>The text is not a table.</source>
   <translation>Der Text ist keine Tabelle.</translation>
  </message>
  <message>
   <source>The first line names no feature, such as V00XRKL.</source>
   <translation>Die erste Zeile nennt kein Merkmal wie V00XRKL.</translation>
  </message>
  <message>
   <source>There are {n} rows below the header.</source>
   <translation>Unter der Kopfzeile stehen {n} Zeilen.</translation>
  </message>
  <message>
   <source>The row has {n} cells, the header {m}.</source>
   <translation>Die Zeile hat {n} Zellen, die Kopfzeile {m}.</translation>
  </message>
  <message>
   <source>The side cannot be {value}.</source>
   <translation>Die Seite kann nicht {value} sein.</translation>
  </message>
 </context>
 <context>
  <name>XR2MRILib.generation</name>
  <message>
   <source>{name} was not generated by this module.</source>
   <translation>{name} wurde nicht von diesem Modul erzeugt.</translation>
  </message>
  <message>
   <source>Choose a generated volume.</source>
   <translation>Wählen Sie ein erzeugtes Volumen.</translation>
  </message>
  <message>
   <source>The server has no model that can generate.</source>
   <translation>Der Server hat kein Modell, das erzeugen kann.</translation>
  </message>
  <message>
   <source>{name} synthetic MRI, mean</source>
   <translation>{name} synthetische MRT, Mittel</translation>
  </message>
  <message>
   <source>{name} synthetic MRI</source>
   <translation>{name} synthetische MRT</translation>
  </message>
  <message>
   <source>{name}, mean</source>
   <translation>{name}, Mittel</translation>
  </message>
  <message>
   <source>{name}, standard deviation</source>
   <translation>{name}, Standardabweichung</translation>
  </message>
  <message>
   <source>{name}, difference</source>
   <translation>{name}, Differenz</translation>
  </message>
 </context>
 <context>
  <name>XR2MRILib.logic</name>
  <message>
   <source>The server that another Slicer has started does not answer any more.</source>
   <translation>Der Server, den ein anderes Slicer gestartet hat, antwortet nicht mehr.</translation>
  </message>
  <message>
   <source>Generate again, which starts one here.</source>
   <translation>Erzeugen Sie noch einmal; das startet hier einen.</translation>
  </message>
  <message>
   <source>{name}, what if {changes}</source>
   <translation>{name}, was wäre wenn {changes}</translation>
  </message>
  <message>
   <source>The server has gone with the Slicer that had started it.</source>
   <translation>Der Server ging mit dem Slicer, der ihn gestartet hatte.</translation>
  </message>
  <message>
   <source>No server is connected.</source>
   <translation>Es ist kein Server verbunden.</translation>
  </message>
  <message>
   <source>Connect to one first.</source>
   <translation>Verbinden Sie zuerst einen.</translation>
  </message>
 </context>
 <context>
  <name>XR2MRILib.metrics</name>
  <message>
   <source>Choose an MRI of the same knee: a grey volume of several slices.</source>
   <translation>Wählen Sie eine MRT desselben Knies: ein Grauwertvolumen mit mehreren Schichten.</translation>
  </message>
  <message>
   <source>Check that it is the same knee, or tick “Align the centres”.</source>
   <translation>Prüfen Sie, ob es dasselbe Knie ist, oder kreuzen Sie „Mitten ausrichten“ an.</translation>
  </message>
  <message>
   <source>The real volume has no contrast, or values that are no numbers.</source>
   <translation>Das echte Volumen hat keinen Kontrast, oder Werte, die keine Zahlen sind.</translation>
  </message>
  <message>
   <source>The real volume covers {x:.0f} % of the generated one.</source>
   <translation>Das echte Volumen bedeckt {x:.0f} % des erzeugten.</translation>
  </message>
 </context>
 <context>
  <name>panel.batch</name>
  <message>
   <source>waiting</source>
   <translation>wartet</translation>
  </message>
  <message>
   <source>generating</source>
   <translation>wird erzeugt</translation>
  </message>
  <message>
   <source>done</source>
   <translation>fertig</translation>
  </message>
  <message>
   <source>failed</source>
   <translation>fehlgeschlagen</translation>
  </message>
  <message>
   <source>cancelled</source>
   <translation>abgebrochen</translation>
  </message>
  <message>
   <source>Radiograph</source>
   <translation>Aufnahme</translation>
  </message>
  <message>
   <source>Form</source>
   <translation>Formular</translation>
  </message>
  <message>
   <source>State</source>
   <translation>Stand</translation>
  </message>
  <message>
   <source>Stop</source>
   <translation>Anhalten</translation>
  </message>
  <message>
   <source>Generate all</source>
   <translation>Alle erzeugen</translation>
  </message>
  <message>
   <source>Connect to a server first: it has the form.</source>
   <translation>Verbinden Sie zuerst einen Server: er hat das Formular.</translation>
  </message>
  <message>
   <source>{n} of {m} done</source>
   <translation>{n} von {m} fertig</translation>
  </message>
  <message>
   <source>Folder of radiographs</source>
   <translation>Ordner mit Röntgenaufnahmen</translation>
  </message>
  <message>
   <source>No series is selected.</source>
   <translation>Es ist keine Serie ausgewählt.</translation>
  </message>
  <message>
   <source>Open the module DICOM and select some.</source>
   <translation>Öffnen Sie das Modul DICOM und wählen Sie welche aus.</translation>
  </message>
  <message>
   <source>Folder of the scene...</source>
   <translation>Ordner der Szene...</translation>
  </message>
  <message>
   <source>and {n} more</source>
   <translation>und {n} weitere</translation>
  </message>
  <message>
   <source>The server does not accept {x}.</source>
   <translation>Der Server nimmt nicht an: {x}.</translation>
  </message>
  <message>
   <source>Folder for the volumes</source>
   <translation>Ordner für die Volumen</translation>
  </message>
  <message>
   <source>Writing {path}...</source>
   <translation>{path} wird geschrieben...</translation>
  </message>
  <message>
   <source>{n} volumes and the table xr2mri.csv are in {folder}.</source>
   <translation>{n} Volumen und die Tabelle xr2mri.csv sind in {folder}.</translation>
  </message>
  <message>
   <source>cannot be used</source>
   <translation>nicht brauchbar</translation>
  </message>
  <message>
   <source>{n} read</source>
   <translation>{n} befundet</translation>
  </message>
  <message>
   <source>none</source>
   <translation>keines</translation>
  </message>
  <message>
   <source>{path} is there already.</source>
   <translation>{path} gibt es schon.</translation>
  </message>
  <message>
   <source>Choose another folder.</source>
   <translation>Wählen Sie einen anderen Ordner.</translation>
  </message>
  <message>
   <source>{path} cannot be written.</source>
   <translation>{path} kann nicht geschrieben werden.</translation>
  </message>
 </context>
 <context>
  <name>panel.compare</name>
  <message>
   <source>Generate a volume first.</source>
   <translation>Erzeugen Sie zuerst ein Volumen.</translation>
  </message>
  <message>
   <source>Connect to a server.</source>
   <translation>Verbinden Sie einen Server.</translation>
  </message>
  <message>
   <source>Its radiograph has gone.</source>
   <translation>Seine Röntgenaufnahme ist nicht mehr da.</translation>
  </message>
  <message>
   <source>It is so already: choose another grade.</source>
   <translation>Das ist es schon: wählen Sie einen anderen Grad.</translation>
  </message>
  <message>
   <source>PSNR {x:.2f} dB, SSIM {y:.3f}; slice by slice in the table {table}.</source>
   <translation>PSNR {x:.2f} dB, SSIM {y:.3f}; Schicht für Schicht in der Tabelle {table}.</translation>
  </message>
 </context>
 <context>
  <name>panel.computer</name>
  <message>
   <source>Update...</source>
   <translation>Aktualisieren...</translation>
  </message>
  <message>
   <source>Install...</source>
   <translation>Installieren...</translation>
  </message>
  <message>
   <source>Cancel</source>
   <translation>Abbrechen</translation>
  </message>
  <message>
   <source>Stop</source>
   <translation>Anhalten</translation>
  </message>
  <message>
   <source>Start</source>
   <translation>Starten</translation>
  </message>
  <message>
   <source>Uninstall...</source>
   <translation>Deinstallieren...</translation>
  </message>
  <message>
   <source>Installing...</source>
   <translation>Wird installiert...</translation>
  </message>
  <message>
   <source>Starting the server, which takes some 15 s...</source>
   <translation>Der Server startet, das dauert etwa 15 s...</translation>
  </message>
  <message>
   <source>The server does not answer any more. Stop it, and start it again.</source>
   <translation>Der Server antwortet nicht mehr. Halten Sie ihn an, und starten Sie ihn wieder.</translation>
  </message>
  <message>
   <source>Not all of it is there. Install it to go on, or uninstall what is there.</source>
   <translation>Es ist nicht alles da. Installieren Sie, um weiterzumachen, oder deinstallieren Sie, was da ist.</translation>
  </message>
  <message>
   <source>Not installed. Once it is, nothing leaves this computer.</source>
   <translation>Nicht installiert. Einmal installiert, verlässt nichts diesen Rechner.</translation>
  </message>
  <message>
   <source>Installed: XR2MRI {version}, {gb:.1f} GB, {device}.</source>
   <translation>Installiert: XR2MRI {version}, {gb:.1f} GB, {device}.</translation>
  </message>
  <message>
   <source>This module is of {version}: stop the server, and update it.</source>
   <translation>Dieses Modul ist von {version}: Server anhalten und aktualisieren.</translation>
  </message>
  <message>
   <source>Not running; Generate starts it.</source>
   <translation>Läuft nicht; Erzeugen startet ihn.</translation>
  </message>
  <message>
   <source>Running.</source>
   <translation>Läuft.</translation>
  </message>
  <message>
   <source>Running, started by another Slicer.</source>
   <translation>Läuft, von einem anderen Slicer gestartet.</translation>
  </message>
  <message>
   <source>for the NVIDIA GPU</source>
   <translation>für die NVIDIA-GPU</translation>
  </message>
  <message>
   <source>for the processor: no GPU was found</source>
   <translation>für den Prozessor: keine GPU gefunden</translation>
  </message>
  <message>
   <source>XR2MRI with the weights of its model, MONAI Label, PyTorch ({torch}), and what they need; where missing, Python 3.11 and uv, which installs the rest.</source>
   <translation>XR2MRI mit den Gewichten seines Modells, MONAI Label, PyTorch ({torch}) und was sie brauchen; wo sie fehlen, Python 3.11 und uv, das den Rest installiert.</translation>
  </message>
  <message>
   <source>Nothing is downloaded; all of it comes from
{x}</source>
   <translation>Nichts wird heruntergeladen; alles kommt aus
{x}</translation>
  </message>
  <message>
   <source>About {n:.1f} GB will be downloaded from the Python Package Index, PyTorch and GitHub, or from the index that your administrator has set for uv or pip.</source>
   <translation>Etwa {n:.1f} GB werden vom Python Package Index, von PyTorch und GitHub heruntergeladen, oder von dem Index, den Ihr Administrator für uv oder pip eingestellt hat.</translation>
  </message>
  <message>
   <source>It is {n:.1f} GB, and {m:.1f} GB on the disk, where PyTorch's own index is not reached.</source>
   <translation>Es sind {n:.1f} GB, und {m:.1f} GB auf der Platte, wo PyTorchs eigener Index nicht erreicht wird.</translation>
  </message>
  <message>
   <source>It takes about {n:.0f} GB in
{folder}
and nothing of it is in Slicer.</source>
   <translation>Es braucht etwa {n:.0f} GB in
{folder}
und nichts davon liegt in Slicer.</translation>
  </message>
  <message>
   <source>Install the server on this computer?</source>
   <translation>Den Server auf diesem Rechner installieren?</translation>
  </message>
  <message>
   <source>Install</source>
   <translation>Installieren</translation>
  </message>
  <message>
   <source>Stop the server and remove all of it from
{folder}?</source>
   <translation>Den Server anhalten und ganz entfernen aus
{folder}?</translation>
  </message>
  <message>
   <source>Uninstall</source>
   <translation>Deinstallieren</translation>
  </message>
  <message>
   <source>Removing...</source>
   <translation>Wird entfernt...</translation>
  </message>
  <message>
   <source>Removing: {n} of {m} files...</source>
   <translation>Entfernen: {n} von {m} Dateien...</translation>
  </message>
  <message>
   <source>Installing, step {n} of {m}: {title}...</source>
   <translation>Installation, Schritt {n} von {m}: {title}...</translation>
  </message>
 </context>
 <context>
  <name>panel.features</name>
  <message>
   <source>Connect to a server, or start it: it has the form.</source>
   <translation>Verbinden oder starten Sie einen Server: er hat das Formular.</translation>
  </message>
  <message>
   <source>Left out, since this server's form does not know it: {x}.</source>
   <translation>Weggelassen, da das Formular dieses Servers es nicht kennt: {x}.</translation>
  </message>
  <message>
   <source>Nothing was read: the radiograph alone decides.</source>
   <translation>Nichts wurde befundet: die Aufnahme allein entscheidet.</translation>
  </message>
  <message>
   <source>Patient: {x}.</source>
   <translation>Patient: {x}.</translation>
  </message>
  <message>
   <source>No feature was read.</source>
   <translation>Kein Merkmal wurde befundet.</translation>
  </message>
  <message>
   <source>{n} of {m} read</source>
   <translation>{n} von {m} befundet</translation>
  </message>
  <message>
   <source>{count}, all of them 0.</source>
   <translation>{count}, alle davon 0.</translation>
  </message>
  <message>
   <source>Load features</source>
   <translation>Merkmale laden</translation>
  </message>
  <message>
   <source>Features (*.json)</source>
   <translation>Merkmale (*.json)</translation>
  </message>
  <message>
   <source>Save features</source>
   <translation>Merkmale speichern</translation>
  </message>
 </context>
 <context>
  <name>panel.form_grid</name>
  <message>
   <source>Femur</source>
   <translation>Femur</translation>
  </message>
  <message>
   <source>Tibia</source>
   <translation>Tibia</translation>
  </message>
  <message>
   <source>Joint</source>
   <translation>Gelenk</translation>
  </message>
 </context>
 <context>
  <name>panel.generate</name>
  <message>
   <source>Connecting...</source>
   <translation>Wird verbunden...</translation>
  </message>
  <message>
   <source>Installing...</source>
   <translation>Wird installiert...</translation>
  </message>
  <message>
   <source>Removing...</source>
   <translation>Wird entfernt...</translation>
  </message>
  <message>
   <source>Starting the server...</source>
   <translation>Der Server startet...</translation>
  </message>
  <message>
   <source>Looking for the knee...</source>
   <translation>Das Knie wird gesucht...</translation>
  </message>
  <message>
   <source>Importing...</source>
   <translation>Wird eingelesen...</translation>
  </message>
  <message>
   <source>Cancelling...</source>
   <translation>Wird abgebrochen...</translation>
  </message>
  <message>
   <source>Comparing...</source>
   <translation>Wird verglichen...</translation>
  </message>
  <message>
   <source>Exporting...</source>
   <translation>Wird exportiert...</translation>
  </message>
  <message>
   <source>Ctrl+Return</source>
   <translation>Strg+Eingabe</translation>
  </message>
  <message>
   <source>Generate MRI ({keys})</source>
   <translation>MRT erzeugen ({keys})</translation>
  </message>
  <message>
   <source>Send the radiograph and draw the volume</source>
   <translation>Die Röntgenaufnahme senden und das Volumen erzeugen</translation>
  </message>
  <message>
   <source>The radiograph and its DICOM header, with the patient's name and ID,</source>
   <translation>Die Röntgenaufnahme mit ihrem DICOM-Kopf, mit Name und Kennung des Patienten,</translation>
  </message>
  <message>
   <source>The pixels of the radiograph, without the patient's name,</source>
   <translation>Die Bildpunkte der Röntgenaufnahme, ohne den Namen des Patienten,</translation>
  </message>
  <message>
   <source>{what} will be sent to

{url}

May XR2MRI send radiographs there?</source>
   <translation>{what} geht an

{url}

Darf XR2MRI Röntgenaufnahmen dorthin senden?</translation>
  </message>
  <message>
   <source>Send a radiograph</source>
   <translation>Eine Röntgenaufnahme senden</translation>
  </message>
  <message>
   <source>Install the server, or connect to one.</source>
   <translation>Installieren Sie den Server, oder verbinden Sie einen.</translation>
  </message>
  <message>
   <source>Connect to a server.</source>
   <translation>Verbinden Sie einen Server.</translation>
  </message>
  <message>
   <source>The server has no model that can generate.</source>
   <translation>Der Server hat kein Modell, das erzeugen kann.</translation>
  </message>
  <message>
   <source>Choose a radiograph.</source>
   <translation>Wählen Sie eine Röntgenaufnahme.</translation>
  </message>
  <message>
   <source>Cancelled.</source>
   <translation>Abgebrochen.</translation>
  </message>
  <message>
   <source>Sending the radiograph...</source>
   <translation>Die Röntgenaufnahme wird gesendet...</translation>
  </message>
  <message>
   <source>{n} before yours</source>
   <translation>{n} vor Ihnen</translation>
  </message>
  <message>
   <source>Waiting in the line: {before}</source>
   <translation>In der Warteschlange: {before}</translation>
  </message>
  <message>
   <source>{n} of {m} slices</source>
   <translation>{n} von {m} Schichten</translation>
  </message>
  <message>
   <source>Fetching the volume...</source>
   <translation>Das Volumen wird geholt...</translation>
  </message>
  <message>
   <source>Waiting for the server: {why}</source>
   <translation>Warten auf den Server: {why}</translation>
  </message>
  <message>
   <source>{text}, {n} s left</source>
   <translation>{text}, noch {n} s</translation>
  </message>
  <message>
   <source>{text}, {n} min left</source>
   <translation>{text}, noch {n} min</translation>
  </message>
  <message>
   <source>{name}: seed {seed}, {n:.0f} s on the server.</source>
   <translation>{name}: Startwert {seed}, {n:.0f} s auf dem Server.</translation>
  </message>
  <message>
   <source>{name}: seed {seed}.</source>
   <translation>{name}: Startwert {seed}.</translation>
  </message>
  <message>
   <source>{name}: PSNR {x:.2f} dB, SSIM {y:.3f}.</source>
   <translation>{name}: PSNR {x:.2f} dB, SSIM {y:.3f}.</translation>
  </message>
  <message>
   <source>{name}: {n} images are in the DICOM database.</source>
   <translation>{name}: {n} Bilder sind in der DICOM-Datenbank.</translation>
  </message>
 </context>
 <context>
  <name>panel.options</name>
  <message>
   <source>the model's own</source>
   <translation>wie im Modell</translation>
  </message>
  <message>
   <source>{x:.2f} mm apart</source>
   <translation>{x:.2f} mm Abstand</translation>
  </message>
  <message>
   <source>Mean and standard deviation come too.</source>
   <translation>Mittel und Standardabweichung kommen dazu.</translation>
  </message>
  <message>
   <source>The standard deviation comes too.</source>
   <translation>Die Standardabweichung kommt dazu.</translation>
  </message>
  <message>
   <source>a realistic draw (sample)</source>
   <translation>eine wirklichkeitsnahe Ziehung</translation>
  </message>
  <message>
   <source>the best guess, smoother (mean)</source>
   <translation>die beste Schätzung, glatter (Mittel)</translation>
  </message>
 </context>
 <context>
  <name>panel.patient</name>
  <message>
   <source>Left out, since this server does not accept it: {x}.</source>
   <translation>Weggelassen, da dieser Server es nicht annimmt: {x}.</translation>
  </message>
  <message>
   <source>Patient</source>
   <translation>Patient</translation>
  </message>
  <message>
   <source>not given</source>
   <translation>keine Angabe</translation>
  </message>
 </context>
 <context>
  <name>panel.radiograph</name>
  <message>
   <source>As the image says</source>
   <translation>Wie das Bild sagt</translation>
  </message>
  <message>
   <source>Right</source>
   <translation>Rechts</translation>
  </message>
  <message>
   <source>Left</source>
   <translation>Links</translation>
  </message>
  <message>
   <source>right</source>
   <translation>rechts</translation>
  </message>
  <message>
   <source>left</source>
   <translation>links</translation>
  </message>
  <message>
   <source>The file does not tell: by place or a letter in the picture, else right.</source>
   <translation>Die Datei sagt es nicht: nach Lage oder einem Buchstaben im Bild, sonst rechts.</translation>
  </message>
  <message>
   <source>The image says: {side}.</source>
   <translation>Das Bild sagt: {side}.</translation>
  </message>
  <message>
   <source>But the image says: {side}.</source>
   <translation>Aber das Bild sagt: {side}.</translation>
  </message>
  <message>
   <source>Knee in {name}</source>
   <translation>Knie in {name}</translation>
  </message>
  <message>
   <source>The middle, until the server has looked: {size} pixels.</source>
   <translation>Die Mitte, bis der Server nachgesehen hat: {size} Bildpunkte.</translation>
  </message>
  <message>
   <source>Your box, {size} pixels.</source>
   <translation>Ihr Rahmen, {size} Bildpunkte.</translation>
  </message>
  <message>
   <source>The proposed box, {size} pixels.</source>
   <translation>Der vorgeschlagene Rahmen, {size} Bildpunkte.</translation>
  </message>
 </context>
 <context>
  <name>panel.result</name>
  <message>
   <source>Uncertainty (standard deviation of the samples)</source>
   <translation>Unsicherheit (Standardabweichung der Ziehungen)</translation>
  </message>
  <message>
   <source>What-if difference</source>
   <translation>Was-wäre-wenn-Differenz</translation>
  </message>
  <message>
   <source>Difference to the real MRI</source>
   <translation>Differenz zur echten MRT</translation>
  </message>
  <message>
   <source>Difference of the edges (Sobel)</source>
   <translation>Differenz der Kanten (Sobel)</translation>
  </message>
  <message>
   <source>None</source>
   <translation>Nichts</translation>
  </message>
  <message>
   <source>Save the report</source>
   <translation>Den Bericht speichern</translation>
  </message>
  <message>
   <source>PDF (*.pdf);;HTML (*.html)</source>
   <translation>PDF (*.pdf);;HTML (*.html)</translation>
  </message>
  <message>
   <source>The report is in {path}.</source>
   <translation>Der Bericht ist in {path}.</translation>
  </message>
  <message>
   <source>Sample</source>
   <translation>Ziehung</translation>
  </message>
  <message>
   <source>Mean (best guess)</source>
   <translation>Mittel (beste Schätzung)</translation>
  </message>
  <message>
   <source>{n} slices</source>
   <translation>{n} Schichten</translation>
  </message>
  <message>
   <source>seed {n}</source>
   <translation>Startwert {n}</translation>
  </message>
  <message>
   <source>{n} steps of {sampler}</source>
   <translation>{n} Schritte von {sampler}</translation>
  </message>
  <message>
   <source>{m} features</source>
   <translation>{m} Merkmale</translation>
  </message>
  <message>
   <source>Synthetic, not for diagnosis</source>
   <translation>Synthetisch, nicht zur Diagnose</translation>
  </message>
 </context>
 <context>
  <name>panel.server</name>
  <message>
   <source>Stop</source>
   <translation>Anhalten</translation>
  </message>
  <message>
   <source>Connect</source>
   <translation>Verbinden</translation>
  </message>
  <message>
   <source>Connecting...</source>
   <translation>Wird verbunden...</translation>
  </message>
  <message>
   <source>Not connected.</source>
   <translation>Nicht verbunden.</translation>
  </message>
  <message>
   <source>Server</source>
   <translation>Server</translation>
  </message>
  <message>
   <source>Server: on this computer, running</source>
   <translation>Server: auf diesem Rechner, läuft</translation>
  </message>
  <message>
   <source>Server: {url}</source>
   <translation>Server: {url}</translation>
  </message>
  <message>
   <source>Connected to XR2MRI {version}, which has no model that can generate.</source>
   <translation>Verbunden mit XR2MRI {version}, das kein Modell hat, das erzeugen kann.</translation>
  </message>
  <message>
   <source>Connected to {model}, XR2MRI {version}</source>
   <translation>Verbunden mit {model}, XR2MRI {version}</translation>
  </message>
  <message>
   <source>, as {user}</source>
   <translation>, als {user}</translation>
  </message>
  <message>
   <source>, {n} waiting in line</source>
   <translation>, {n} in der Warteschlange</translation>
  </message>
  <message>
   <source>Weights {digest}</source>
   <translation>Gewichte {digest}</translation>
  </message>
 </context>
 <context>
  <name>XR2MRILib.patient</name>
  <message>
   <source>{least:g} to {most:g} {unit}</source>
   <translation>{least:g} bis {most:g} {unit}</translation>
  </message>
  <message>
   <source>{title} cannot be {value}.</source>
   <translation>{title} kann nicht {value} sein.</translation>
  </message>
  <message>
   <source>Accepted are {x}, or nothing.</source>
   <translation>Zulässig sind {x}, oder nichts.</translation>
  </message>
  <message>
   <source>The server's form cannot be used: {x}.</source>
   <translation>Das Formular des Servers ist nicht brauchbar: {x}.</translation>
  </message>
  <message>
   <source>Update the server or the extension.</source>
   <translation>Aktualisieren Sie den Server oder die Erweiterung.</translation>
  </message>
 </context>
 <context>
  <name>XR2MRILib.report</name>
  <message>
   <source>{path}: a report is a .pdf or a .html file.</source>
   <translation>{path}: ein Bericht ist eine Datei .pdf oder .html.</translation>
  </message>
  <message>
   <source>Form</source>
   <translation>Formular</translation>
  </message>
  <message>
   <source>Made with</source>
   <translation>Erzeugt mit</translation>
  </message>
  <message>
   <source>Radiograph, with the box that the server looked at</source>
   <translation>Röntgenaufnahme mit dem Rahmen, den der Server betrachtet hat</translation>
  </message>
  <message>
   <source>Radiograph</source>
   <translation>Aufnahme</translation>
  </message>
  <message>
   <source>Coronal, synthetic: the patient's right at the left</source>
   <translation>Koronal, synthetisch: links die rechte Seite des Patienten</translation>
  </message>
  <message>
   <source>Sagittal, synthetic: the front at the left</source>
   <translation>Sagittal, synthetisch: links vorn</translation>
  </message>
  <message>
   <source>Axial, synthetic: the front at the top, the patient's right at the left</source>
   <translation>Axial, synthetisch: oben vorn, links die rechte Seite des Patienten</translation>
  </message>
  <message>
   <source>{name} has gone.</source>
   <translation>{name} ist nicht mehr da.</translation>
  </message>
  <message>
   <source>Choose a generated volume.</source>
   <translation>Wählen Sie ein erzeugtes Volumen.</translation>
  </message>
  <message>
   <source>Not read</source>
   <translation>Nicht befundet</translation>
  </message>
  <message>
   <source>{n} features</source>
   <translation>{n} Merkmale</translation>
  </message>
  <message>
   <source>Nothing was read</source>
   <translation>Nichts wurde befundet</translation>
  </message>
  <message>
   <source>the radiograph alone decided</source>
   <translation>die Aufnahme allein entschied</translation>
  </message>
  <message>
   <source>right</source>
   <translation>rechts</translation>
  </message>
  <message>
   <source>left</source>
   <translation>links</translation>
  </message>
  <message>
   <source>Sample</source>
   <translation>Ziehung</translation>
  </message>
  <message>
   <source>Mean (best guess)</source>
   <translation>Mittel (beste Schätzung)</translation>
  </message>
  <message>
   <source>Seed</source>
   <translation>Startwert</translation>
  </message>
  <message>
   <source>Volume</source>
   <translation>Volumen</translation>
  </message>
  <message>
   <source>Side</source>
   <translation>Seite</translation>
  </message>
  <message>
   <source>Slices</source>
   <translation>Schichten</translation>
  </message>
  <message>
   <source>Voxel</source>
   <translation>Voxel</translation>
  </message>
  <message>
   <source>Samples</source>
   <translation>Ziehungen</translation>
  </message>
  <message>
   <source>Steps</source>
   <translation>Schritte</translation>
  </message>
  <message>
   <source>Sampler</source>
   <translation>Verfahren</translation>
  </message>
  <message>
   <source>Guidance</source>
   <translation>Führung</translation>
  </message>
  <message>
   <source>Model</source>
   <translation>Modell</translation>
  </message>
  <message>
   <source>Weights</source>
   <translation>Gewichte</translation>
  </message>
  <message>
   <source>Software</source>
   <translation>Software</translation>
  </message>
  <message>
   <source>Warnings</source>
   <translation>Warnungen</translation>
  </message>
  <message>
   <source>SYNTHETIC: drawn by a model, no patient was scanned. Not for diagnosis.</source>
   <translation>SYNTHETISCH: von einem Modell gezeichnet, kein Patient wurde untersucht. Nicht zur Diagnose.</translation>
  </message>
  <message>
   <source>SYNTHETIC</source>
   <translation>SYNTHETISCH</translation>
  </message>
  <message>
   <source>Qt cannot paint the report.</source>
   <translation>Qt kann den Bericht nicht zeichnen.</translation>
  </message>
  <message>
   <source>Is there room on the disk?</source>
   <translation>Ist auf dem Datenträger noch Platz?</translation>
  </message>
  <message>
   <source>{path} cannot be written: {why}.</source>
   <translation>{path} kann nicht geschrieben werden: {why}.</translation>
  </message>
  <message>
   <source>the disk or its rights refuse it</source>
   <translation>die Platte oder ihre Rechte lassen es nicht zu</translation>
  </message>
 </context>
 <context>
  <name>XR2MRILib.request</name>
  <message>
   <source>The volume does not tell what it was made from: {x}.</source>
   <translation>Das Volumen sagt nicht, woraus es erzeugt wurde: {x}.</translation>
  </message>
 </context>
 <context>
  <name>scene.layout</name>
  <message>
   <source>XR2MRI: radiograph and volume</source>
   <translation>XR2MRI: Röntgenaufnahme und Volumen</translation>
  </message>
  <message>
   <source>Radiograph, coronal, sagittal and axial views, and the volume in 3-D</source>
   <translation>Röntgenaufnahme, koronale, sagittale und axiale Ansicht und das Volumen in 3-D</translation>
  </message>
 </context>
 <context>
  <name>scene.legend</name>
  <message>
   <source>Standard deviation of {n} samples, where 1 is from black to white. Where it glows, the radiograph and the form leave open what is there. Where it is dark the samples agree, which does not prove them right.</source>
   <translation>Standardabweichung von {n} Ziehungen; 1 reicht von Schwarz bis Weiß. Wo es leuchtet, lassen Aufnahme und Formular offen, was dort ist. Wo es dunkel ist, stimmen die Ziehungen überein, was sie nicht richtig macht.</translation>
  </message>
  <message>
   <source>Deviation</source>
   <translation>Abweichung</translation>
  </message>
  <message>
   <source>0: all agree</source>
   <translation>0: alle gleich</translation>
  </message>
  <message>
   <source>{x:.2f}: they differ most</source>
   <translation>{x:.2f}: größter Unterschied</translation>
  </message>
  <message>
   <source>darker than before</source>
   <translation>dunkler als vorher</translation>
  </message>
  <message>
   <source>brighter than before</source>
   <translation>heller als vorher</translation>
  </message>
  <message>
   <source>darker than the real MRI</source>
   <translation>dunkler als die echte MRT</translation>
  </message>
  <message>
   <source>brighter</source>
   <translation>heller</translation>
  </message>
  <message>
   <source>weaker edges than the real MRI</source>
   <translation>schwächere Kanten als die echte MRT</translation>
  </message>
  <message>
   <source>stronger</source>
   <translation>stärkere</translation>
  </message>
  <message>
   <source>Difference</source>
   <translation>Differenz</translation>
  </message>
 </context>
 <context>
  <name>scene.notice</name>
  <message>
   <source>SYNTHETIC - not for diagnosis</source>
   <translation>SYNTHETISCH - nicht zur Diagnose</translation>
  </message>
 </context>
 <context>
  <name>scene.picture</name>
  <message>
   <source>Choose a radiograph.</source>
   <translation>Wählen Sie eine Röntgenaufnahme.</translation>
  </message>
  <message>
   <source>{name} is a generated volume, not a radiograph.</source>
   <translation>{name} ist ein erzeugtes Volumen, keine Röntgenaufnahme.</translation>
  </message>
  <message>
   <source>{name} has no image.</source>
   <translation>{name} enthält kein Bild.</translation>
  </message>
  <message>
   <source>{name} is neither grey nor RGB.</source>
   <translation>{name} ist weder grau noch RGB.</translation>
  </message>
  <message>
   <source>{name} is a volume of {n} slices; a radiograph is one picture.</source>
   <translation>{name} ist ein Volumen mit {n} Schichten; eine Röntgenaufnahme ist ein Bild.</translation>
  </message>
  <message>
   <source>{name} is too small for a radiograph.</source>
   <translation>{name} ist zu klein für eine Röntgenaufnahme.</translation>
  </message>
  <message>
   <source>{name} is no radiograph: its DICOM modality is {modality}.</source>
   <translation>{name} ist keine Röntgenaufnahme: die DICOM-Modalität ist {modality}.</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.address</name>
  <message>
   <source>The address of the server is empty.</source>
   <translation>Die Adresse des Servers ist leer.</translation>
  </message>
  <message>
   <source>An address cannot start with {x}://.</source>
   <translation>Eine Adresse kann nicht mit {x}:// anfangen.</translation>
  </message>
  <message>
   <source>A name or password does not belong into the address.</source>
   <translation>Name und Passwort gehören nicht in die Adresse.</translation>
  </message>
  <message>
   <source>Leave it out; the server asks for a login where it needs one.</source>
   <translation>Lassen Sie es weg; der Server fragt nach einer Anmeldung, wo er eine braucht.</translation>
  </message>
  <message>
   <source>{x} is not an address.</source>
   <translation>{x} ist keine Adresse.</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.alone</name>
  <message>
   <source>Another Slicer installs or removes it at the moment.</source>
   <translation>Ein anderer Slicer installiert oder entfernt ihn gerade.</translation>
  </message>
  <message>
   <source>Wait until that one is done.</source>
   <translation>Warten Sie, bis er fertig ist.</translation>
  </message>
  <message>
   <source>{folder} cannot be made: {why}.</source>
   <translation>{folder} kann nicht angelegt werden: {why}.</translation>
  </message>
  <message>
   <source>Choose another folder.</source>
   <translation>Wählen Sie einen anderen Ordner.</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.client</name>
  <message>
   <source>{url} asks for a login of another kind than XR2MRI's.</source>
   <translation>{url} verlangt eine andere Anmeldung als die von XR2MRI.</translation>
  </message>
  <message>
   <source>{url} is not an XR2MRI server.</source>
   <translation>{url} ist kein XR2MRI-Server.</translation>
  </message>
  <message>
   <source>Your password would travel to {url} in the clear.</source>
   <translation>Ihr Passwort ginge im Klartext an {url}.</translation>
  </message>
  <message>
   <source>Use an https address.</source>
   <translation>Nehmen Sie eine https-Adresse.</translation>
  </message>
  <message>
   <source>Name or password are wrong.</source>
   <translation>Name oder Passwort sind falsch.</translation>
  </message>
  <message>
   <source>The server gave no token.</source>
   <translation>Der Server gab kein Token.</translation>
  </message>
  <message>
   <source>The server does not look for the knee.</source>
   <translation>Der Server sucht nicht nach dem Knie.</translation>
  </message>
  <message>
   <source>The parameters cannot be sent: {x}.</source>
   <translation>Die Parameter können nicht gesendet werden: {x}.</translation>
  </message>
  <message>
   <source>The server tells of another job.</source>
   <translation>Der Server spricht von einem anderen Auftrag.</translation>
  </message>
  <message>
   <source>The server does not tell how many slices have come.</source>
   <translation>Der Server sagt nicht, wie viele Schichten fertig sind.</translation>
  </message>
  <message>
   <source>The server does not tell where the volume lies.</source>
   <translation>Der Server sagt nicht, wo das Volumen liegt.</translation>
  </message>
  <message>
   <source>The server gives no record of the volume.</source>
   <translation>Der Server gibt keinen Bericht über das Volumen.</translation>
  </message>
  <message>
   <source>The server's DICOM series is not a ZIP file.</source>
   <translation>Die DICOM-Serie des Servers ist keine ZIP-Datei.</translation>
  </message>
  <message>
   <source>The record is of another seed than was asked for.</source>
   <translation>Der Bericht nennt einen anderen Startwert als verlangt.</translation>
  </message>
  <message>
   <source>The record is of another number of slices than was asked for.</source>
   <translation>Der Bericht nennt eine andere Zahl von Schichten als verlangt.</translation>
  </message>
  <message>
   <source>The volume has another voxel size than its record says.</source>
   <translation>Das Volumen hat eine andere Voxelgröße, als sein Bericht sagt.</translation>
  </message>
  <message>
   <source>The radiograph is empty.</source>
   <translation>Die Röntgenaufnahme ist leer.</translation>
  </message>
  <message>
   <source>The radiograph {x} cannot be read: {why}.</source>
   <translation>Die Röntgenaufnahme {x} ist nicht lesbar: {why}.</translation>
  </message>
  <message>
   <source>The radiograph {x} is empty.</source>
   <translation>Die Röntgenaufnahme {x} ist leer.</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.dicom</name>
  <message>
   <source>The DICOM series has {n} files.</source>
   <translation>Die DICOM-Serie hat {n} Dateien.</translation>
  </message>
  <message>
   <source>The DICOM series is too large.</source>
   <translation>Die DICOM-Serie ist zu groß.</translation>
  </message>
  <message>
   <source>The DICOM series has a file with a strange name.</source>
   <translation>Die DICOM-Serie enthält eine Datei mit seltsamem Namen.</translation>
  </message>
  <message>
   <source>The DICOM series has a file that is not DICOM.</source>
   <translation>Die DICOM-Serie enthält eine Datei, die kein DICOM ist.</translation>
  </message>
  <message>
   <source>The DICOM series is damaged.</source>
   <translation>Die DICOM-Serie ist beschädigt.</translation>
  </message>
  <message>
   <source>The DICOM series cannot be written to {folder}: {why}.</source>
   <translation>Die DICOM-Serie kann nicht nach {folder} geschrieben werden: {why}.</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.errors</name>
  <message>
   <source>Write it as http://127.0.0.1:8000 or https://mri.hospital.example.</source>
   <translation>Schreiben Sie sie als http://127.0.0.1:8000 oder https://mri.hospital.example.</translation>
  </message>
  <message>
   <source>Choose another radiograph.</source>
   <translation>Wählen Sie eine andere Röntgenaufnahme.</translation>
  </message>
  <message>
   <source>Is the server running, and are address and network right?</source>
   <translation>Läuft der Server, und stimmen Adresse und Netz?</translation>
  </message>
  <message>
   <source>Ask the administrator of the server for its certificate authority (CA) file.</source>
   <translation>Bitten Sie den Administrator des Servers um die Datei der Zertifizierungsstelle (CA).</translation>
  </message>
  <message>
   <source>Check host and port of the address.</source>
   <translation>Prüfen Sie Rechnernamen und Port der Adresse.</translation>
  </message>
  <message>
   <source>Update the server.</source>
   <translation>Aktualisieren Sie den Server.</translation>
  </message>
  <message>
   <source>Update the extension XR2MRI in Slicer.</source>
   <translation>Aktualisieren Sie die Erweiterung XR2MRI in Slicer.</translation>
  </message>
  <message>
   <source>Log in with your name and password.</source>
   <translation>Melden Sie sich mit Name und Passwort an.</translation>
  </message>
  <message>
   <source>Check name and password.</source>
   <translation>Prüfen Sie Name und Passwort.</translation>
  </message>
  <message>
   <source>No file with the patient's name and ID is sent to {url} before you agree to it.</source>
   <translation>Keine Datei mit Name und Kennung des Patienten geht an {url}, bevor Sie zustimmen.</translation>
  </message>
  <message>
   <source>Nothing is sent to {url} before you agree to it.</source>
   <translation>Nichts geht an {url}, bevor Sie zustimmen.</translation>
  </message>
  <message>
   <source>Agree when you are asked, or pass allowUpload=True.</source>
   <translation>Stimmen Sie zu, wenn Sie gefragt werden, oder geben Sie allowUpload=True an.</translation>
  </message>
  <message>
   <source>Generate again.</source>
   <translation>Erzeugen Sie es noch einmal.</translation>
  </message>
  <message>
   <source>Generate the volume again with the weights of now, and go on from that.</source>
   <translation>Erzeugen Sie das Volumen mit den jetzigen Gewichten neu und gehen Sie von dort weiter.</translation>
  </message>
  <message>
   <source>The server has other weights than the volume was made with.</source>
   <translation>Der Server hat andere Gewichte als die, mit denen das Volumen erzeugt wurde.</translation>
  </message>
  <message>
   <source>Try again in {n:.0f} s.</source>
   <translation>Versuchen Sie es in {n:.0f} s noch einmal.</translation>
  </message>
  <message>
   <source>Ask the administrator of the server.</source>
   <translation>Fragen Sie den Administrator des Servers.</translation>
  </message>
  <message>
   <source>Send a smaller file, or ask the administrator of the server for a higher limit.</source>
   <translation>Senden Sie eine kleinere Datei, oder bitten Sie den Administrator des Servers um eine höhere Grenze.</translation>
  </message>
  <message>
   <source>Choose another radiograph: DICOM, PNG, JPEG, NIfTI or NRRD.</source>
   <translation>Wählen Sie eine andere Röntgenaufnahme: DICOM, PNG, JPEG, NIfTI oder NRRD.</translation>
  </message>
  <message>
   <source>Try again; if it stays so, tell the administrator of the server.</source>
   <translation>Versuchen Sie es noch einmal; bleibt es so, sagen Sie es dem Administrator des Servers.</translation>
  </message>
  <message>
   <source>Its log has the request {id}.</source>
   <translation>Sein Protokoll führt die Anfrage {id}.</translation>
  </message>
  <message>
   <source>Cancelled.</source>
   <translation>Abgebrochen.</translation>
  </message>
  <message>
   <source>Is the disk full, or the folder protected? Make room and try again.</source>
   <translation>Ist die Platte voll oder der Ordner geschützt? Schaffen Sie Platz und versuchen Sie es noch einmal.</translation>
  </message>
  <message>
   <source>Install again; if it stays so, report it with the log.</source>
   <translation>Installieren Sie noch einmal; bleibt es so, melden Sie es mit dem Protokoll.</translation>
  </message>
  <message>
   <source>Start it again; if it stays so, report it with its log.</source>
   <translation>Starten Sie ihn noch einmal; bleibt es so, melden Sie es mit seinem Protokoll.</translation>
  </message>
  <message>
   <source>Unexpected {kind}: {text}</source>
   <translation>Unerwarteter {kind}: {text}</translation>
  </message>
  <message>
   <source>Please report it with Slicer's log (View, Error Log).</source>
   <translation>Bitte melden Sie es mit Slicers Protokoll (View, Error Log).</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.install_faults</name>
  <message>
   <source>The installing program was killed.</source>
   <translation>Das installierende Programm wurde beendet.</translation>
  </message>
  <message>
   <source>Close other programs for want of memory, and install again.</source>
   <translation>Schließen Sie andere Programme, da Speicher fehlt, und installieren Sie noch einmal.</translation>
  </message>
  <message>
   <source>The disk is full.</source>
   <translation>Die Platte ist voll.</translation>
  </message>
  <message>
   <source>Make room, or choose another folder, and install again.</source>
   <translation>Schaffen Sie Platz oder wählen Sie einen anderen Ordner, und installieren Sie noch einmal.</translation>
  </message>
  <message>
   <source>The proxy of your network lets the download not through.</source>
   <translation>Der Proxy Ihres Netzes lässt den Download nicht durch.</translation>
  </message>
  <message>
   <source>Set HTTPS_PROXY to its address before Slicer starts, or install from a folder.</source>
   <translation>Setzen Sie HTTPS_PROXY auf seine Adresse, bevor Slicer startet, oder installieren Sie aus einem Ordner.</translation>
  </message>
  <message>
   <source>The network's certificates are not trusted.</source>
   <translation>Den Zertifikaten des Netzes wird nicht vertraut.</translation>
  </message>
  <message>
   <source>Set SSL_CERT_FILE to the file of your institution's, or install from a folder.</source>
   <translation>Setzen Sie SSL_CERT_FILE auf die Datei Ihrer Einrichtung, oder installieren Sie aus einem Ordner.</translation>
  </message>
  <message>
   <source>There is no Python {v} here, and it cannot be downloaded.</source>
   <translation>Hier ist kein Python {v}, und es kann nicht heruntergeladen werden.</translation>
  </message>
  <message>
   <source>Install Python {v} from python.org, and install again.</source>
   <translation>Installieren Sie Python {v} von python.org, und installieren Sie noch einmal.</translation>
  </message>
  <message>
   <source>What is to be downloaded is not there, or not for you: {x}</source>
   <translation>Was heruntergeladen werden soll, gibt es nicht, oder nicht für Sie: {x}</translation>
  </message>
  <message>
   <source>Choose a folder of wheels at From, or ask your administrator.</source>
   <translation>Wählen Sie bei Aus einen Ordner mit Wheels, oder fragen Sie Ihren Administrator.</translation>
  </message>
  <message>
   <source>The network is not there, or was lost.</source>
   <translation>Das Netz ist nicht da oder ging verloren.</translation>
  </message>
  <message>
   <source>Install again to go on where it ended, or install from a folder of wheels.</source>
   <translation>Installieren Sie noch einmal, um dort weiterzumachen, oder installieren Sie aus einem Ordner mit Wheels.</translation>
  </message>
  <message>
   <source>Another program is installing packages at the moment.</source>
   <translation>Ein anderes Programm installiert gerade Pakete.</translation>
  </message>
  <message>
   <source>Wait until it is done, and install again.</source>
   <translation>Warten Sie, bis es fertig ist, und installieren Sie noch einmal.</translation>
  </message>
  <message>
   <source>A package is missing: {x}</source>
   <translation>Ein Paket fehlt: {x}</translation>
  </message>
  <message>
   <source>Add its wheel to the folder.</source>
   <translation>Legen Sie sein Wheel in den Ordner.</translation>
  </message>
  <message>
   <source>Use a server elsewhere.</source>
   <translation>Verwenden Sie einen Server anderswo.</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.installation</name>
  <message>
   <source>{folder} holds other files, such as {name}.</source>
   <translation>In {folder} liegen andere Dateien, etwa {name}.</translation>
  </message>
  <message>
   <source>Choose a folder that is new or empty.</source>
   <translation>Wählen Sie einen Ordner, der neu oder leer ist.</translation>
  </message>
  <message>
   <source>This copy of the module does not know where XR2MRI is published.</source>
   <translation>Diese Kopie des Moduls weiß nicht, wo XR2MRI veröffentlicht ist.</translation>
  </message>
  <message>
   <source>Choose a folder with its wheel at From.</source>
   <translation>Wählen Sie bei Aus einen Ordner mit seinem Wheel.</translation>
  </message>
  <message>
   <source>{x} has no wheel of XR2MRI {v}.</source>
   <translation>{x} hat kein Wheel von XR2MRI {v}.</translation>
  </message>
  <message>
   <source>Choose a folder with {name}.</source>
   <translation>Wählen Sie einen Ordner mit {name}.</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.installing</name>
  <message>
   <source>Looking for uv, which installs the rest</source>
   <translation>Suche nach uv, das den Rest installiert</translation>
  </message>
  <message>
   <source>Python {v}</source>
   <translation>Python {v}</translation>
  </message>
  <message>
   <source>XR2MRI, with the weights of its model</source>
   <translation>XR2MRI mit den Gewichten seines Modells</translation>
  </message>
  <message>
   <source>PyTorch, which is large</source>
   <translation>PyTorch, das groß ist</translation>
  </message>
  <message>
   <source>All other packages</source>
   <translation>Alle anderen Pakete</translation>
  </message>
  <message>
   <source>Trying it</source>
   <translation>Ein Versuch damit</translation>
  </message>
  <message>
   <source>{folder} has {free:.1f} GB free; {needed:.0f} GB are needed.</source>
   <translation>In {folder} sind {free:.1f} GB frei; {needed:.0f} GB werden gebraucht.</translation>
  </message>
  <message>
   <source>Make room, or choose another folder.</source>
   <translation>Schaffen Sie Platz, oder wählen Sie einen anderen Ordner.</translation>
  </message>
  <message>
   <source>{file} is too old.</source>
   <translation>{file} ist zu alt.</translation>
  </message>
  <message>
   <source>uv was installed, but is not in {x}.</source>
   <translation>uv wurde installiert, ist aber nicht in {x}.</translation>
  </message>
  <message>
   <source>PyTorch's own index is not reached; trying the usual one.</source>
   <translation>PyTorchs eigener Index wird nicht erreicht; der übliche wird versucht.</translation>
  </message>
  <message>
   <source>The weights of the model are missing.</source>
   <translation>Die Gewichte des Modells fehlen.</translation>
  </message>
  <message>
   <source>What was installed says {x}.</source>
   <translation>Was installiert wurde, sagt {x}.</translation>
  </message>
  <message>
   <source>{program} cannot be started: {why}.</source>
   <translation>{program} kann nicht gestartet werden: {why}.</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.jobs</name>
  <message>
   <source>{url} is a MONAI Label server without XR2MRI.</source>
   <translation>{url} ist ein MONAI-Label-Server ohne XR2MRI.</translation>
  </message>
  <message>
   <source>Start XR2MRI's own server: `xr2mri serve --studies folder`.</source>
   <translation>Starten Sie XR2MRIs eigenen Server: `xr2mri serve --studies Ordner`.</translation>
  </message>
  <message>
   <source>{url} is not an XR2MRI server.</source>
   <translation>{url} ist kein XR2MRI-Server.</translation>
  </message>
  <message>
   <source>The server (XR2MRI {version}) speaks version {n} of the interface, not {m}.</source>
   <translation>Der Server (XR2MRI {version}) spricht Version {n} der Schnittstelle, nicht {m}.</translation>
  </message>
  <message>
   <source>The server does not describe its models and its form.</source>
   <translation>Der Server beschreibt seine Modelle und sein Formular nicht.</translation>
  </message>
  <message>
   <source>The server does not tell where the job stands.</source>
   <translation>Der Server sagt nicht, wie weit der Auftrag ist.</translation>
  </message>
  <message>
   <source>The server does not tell where the knee is.</source>
   <translation>Der Server sagt nicht, wo das Knie ist.</translation>
  </message>
  <message>
   <source>The server counts {x}.</source>
   <translation>Der Server zählt {x}.</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.machine</name>
  <message>
   <source>PyTorch, which the server needs, is not made for Macs with Intel processors.</source>
   <translation>PyTorch, das der Server braucht, gibt es nicht für Macs mit Intel-Prozessor.</translation>
  </message>
  <message>
   <source>The server needs macOS {n} or later; this is macOS {v}.</source>
   <translation>Der Server braucht macOS {n} oder neuer; dies ist macOS {v}.</translation>
  </message>
  <message>
   <source>Use a server elsewhere.</source>
   <translation>Verwenden Sie einen Server anderswo.</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.multipart</name>
  <message>
   <source>The radiograph changed while it was being sent.</source>
   <translation>Die Röntgenaufnahme hat sich geändert, während sie gesendet wurde.</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.network_errors</name>
  <message>
   <source>The proxy between here and {url} does not let us through.</source>
   <translation>Der Proxy zwischen hier und {url} lässt uns nicht durch.</translation>
  </message>
  <message>
   <source>Check the proxy settings of this machine (HTTPS_PROXY, NO_PROXY).</source>
   <translation>Prüfen Sie die Proxy-Einstellungen dieses Rechners (HTTPS_PROXY, NO_PROXY).</translation>
  </message>
  <message>
   <source>{url} does not answer.</source>
   <translation>{url} antwortet nicht.</translation>
  </message>
  <message>
   <source>{url} takes longer than {n:.0f} s to answer.</source>
   <translation>{url} braucht mehr als {n:.0f} s für eine Antwort.</translation>
  </message>
  <message>
   <source>It may be overloaded: try again later.</source>
   <translation>Er ist vielleicht überlastet: versuchen Sie es später.</translation>
  </message>
  <message>
   <source>{url} is not an address.</source>
   <translation>{url} ist keine Adresse.</translation>
  </message>
  <message>
   <source>No machine is called {host}.</source>
   <translation>Kein Rechner heißt {host}.</translation>
  </message>
  <message>
   <source>Check the address, and whether this machine is on the network.</source>
   <translation>Prüfen Sie die Adresse, und ob dieser Rechner im Netz ist.</translation>
  </message>
  <message>
   <source>Nothing answers at {url}.</source>
   <translation>Unter {url} antwortet nichts.</translation>
  </message>
  <message>
   <source>Start the server there, or check host and port.</source>
   <translation>Starten Sie dort den Server, oder prüfen Sie Rechnernamen und Port.</translation>
  </message>
  <message>
   <source>{url} does not speak HTTP.</source>
   <translation>{url} spricht kein HTTP.</translation>
  </message>
  <message>
   <source>The connection to {url} broke.</source>
   <translation>Die Verbindung zu {url} riss ab.</translation>
  </message>
  <message>
   <source>Try again; if it stays so, check address, network and size of the file.</source>
   <translation>Versuchen Sie es noch einmal; bleibt es so, prüfen Sie Adresse, Netz und Größe der Datei.</translation>
  </message>
  <message>
   <source>{url} does not speak TLS.</source>
   <translation>{url} spricht kein TLS.</translation>
  </message>
  <message>
   <source>Write {url} if you trust the network in between.</source>
   <translation>Schreiben Sie {url}, wenn Sie dem Netz dazwischen vertrauen.</translation>
  </message>
  <message>
   <source>{url} breaks off the TLS handshake.</source>
   <translation>{url} bricht den TLS-Aufbau ab.</translation>
  </message>
  <message>
   <source>The certificate of {url} has expired.</source>
   <translation>Das Zertifikat von {url} ist abgelaufen.</translation>
  </message>
  <message>
   <source>Tell the administrator; check this machine's date.</source>
   <translation>Sagen Sie es dem Administrator; prüfen Sie das Datum dieses Rechners.</translation>
  </message>
  <message>
   <source>The certificate of {url} is for another name.</source>
   <translation>Das Zertifikat von {url} gilt für einen anderen Namen.</translation>
  </message>
  <message>
   <source>Use the name that the certificate is made out to.</source>
   <translation>Nehmen Sie den Namen, auf den das Zertifikat lautet.</translation>
  </message>
  <message>
   <source>The certificate of {url} is not trusted.</source>
   <translation>Dem Zertifikat von {url} wird nicht vertraut.</translation>
  </message>
  <message>
   <source>No secure connection to {url}.</source>
   <translation>Keine sichere Verbindung zu {url}.</translation>
  </message>
  <message>
   <source>There is no certificate in {x}.</source>
   <translation>In {x} ist kein Zertifikat.</translation>
  </message>
  <message>
   <source>REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names it, a setting of this machine: mend it.</source>
   <translation>REQUESTS_CA_BUNDLE oder CURL_CA_BUNDLE nennt diese Datei, eine Einstellung dieses Rechners: Berichtigen Sie sie.</translation>
  </message>
  <message>
   <source>{url} speaks TLS only.</source>
   <translation>{url} spricht nur TLS.</translation>
  </message>
  <message>
   <source>Write {url}.</source>
   <translation>Schreiben Sie {url}.</translation>
  </message>
  <message>
   <source>The server's answer was cut off.</source>
   <translation>Die Antwort des Servers brach ab.</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.own_server</name>
  <message>
   <source>Another Slicer starts the server at the moment.</source>
   <translation>Ein anderer Slicer startet den Server gerade.</translation>
  </message>
  <message>
   <source>Wait until that one is done.</source>
   <translation>Warten Sie, bis er fertig ist.</translation>
  </message>
  <message>
   <source>The server cannot be started: {why}.</source>
   <translation>Der Server kann nicht gestartet werden: {why}.</translation>
  </message>
  <message>
   <source>Uninstall it, and install it again.</source>
   <translation>Deinstallieren Sie ihn, und installieren Sie ihn noch einmal.</translation>
  </message>
  <message>
   <source>The server did not answer within {n:.0f} s.</source>
   <translation>Der Server hat binnen {n:.0f} s nicht geantwortet.</translation>
  </message>
  <message>
   <source>The server ran out of memory and has ended.</source>
   <translation>Dem Server fehlte Speicher, und er ist beendet.</translation>
  </message>
  <message>
   <source>Close other programs, ask for fewer slices, and start it again.</source>
   <translation>Schließen Sie andere Programme, verlangen Sie weniger Schichten, und starten Sie ihn noch einmal.</translation>
  </message>
  <message>
   <source>The server was killed, probably for want of memory.</source>
   <translation>Der Server wurde beendet, wohl weil Speicher fehlte.</translation>
  </message>
  <message>
   <source>Another program has taken the port of the server.</source>
   <translation>Ein anderes Programm hat den Port des Servers genommen.</translation>
  </message>
  <message>
   <source>Start it again.</source>
   <translation>Starten Sie ihn noch einmal.</translation>
  </message>
  <message>
   <source>The weights of the model are missing.</source>
   <translation>Die Gewichte des Modells fehlen.</translation>
  </message>
  <message>
   <source>The installation is damaged: {x}</source>
   <translation>Die Installation ist beschädigt: {x}</translation>
  </message>
  <message>
   <source>The server was ended by signal {n}.</source>
   <translation>Der Server wurde durch das Signal {n} beendet.</translation>
  </message>
  <message>
   <source>The server has ended with status {n}: {x}</source>
   <translation>Der Server endete mit dem Status {n}: {x}</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.removing</name>
  <message>
   <source>{file} cannot be removed: {why}.</source>
   <translation>{file} kann nicht entfernt werden: {why}.</translation>
  </message>
  <message>
   <source>Stop every program that uses it, and uninstall again.</source>
   <translation>Beenden Sie jedes Programm, das es benutzt, und deinstallieren Sie noch einmal.</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.transport</name>
  <message>
   <source>The server's answer is not JSON.</source>
   <translation>Die Antwort des Servers ist kein JSON.</translation>
  </message>
  <message>
   <source>There is no CA file {x}.</source>
   <translation>Es gibt keine CA-Datei {x}.</translation>
  </message>
  <message>
   <source>The server's answer is too long.</source>
   <translation>Die Antwort des Servers ist zu lang.</translation>
  </message>
  <message>
   <source>Your login has expired, or is of another server.</source>
   <translation>Ihre Anmeldung ist abgelaufen oder gilt für einen anderen Server.</translation>
  </message>
  <message>
   <source>The server asks for a login.</source>
   <translation>Der Server verlangt eine Anmeldung.</translation>
  </message>
  <message>
   <source>The server takes no more at the moment.</source>
   <translation>Der Server nimmt zurzeit nichts mehr an.</translation>
  </message>
  <message>
   <source>{url} sends on to {where}.</source>
   <translation>{url} verweist auf {where}.</translation>
  </message>
  <message>
   <source>If that is the server, enter it as the address.</source>
   <translation>Wenn das der Server ist, geben Sie es als Adresse ein.</translation>
  </message>
  <message>
   <source>The server answers with status {n}.</source>
   <translation>Der Server antwortet mit dem Status {n}.</translation>
  </message>
  <message>
   <source>The server does not allow this</source>
   <translation>Der Server erlaubt das nicht</translation>
  </message>
  <message>
   <source>The server does not know this</source>
   <translation>Der Server kennt das nicht</translation>
  </message>
  <message>
   <source>The radiograph is larger than the server takes</source>
   <translation>Die Röntgenaufnahme ist größer, als der Server sie nimmt</translation>
  </message>
  <message>
   <source>The server behind the proxy does not answer</source>
   <translation>Der Server hinter dem Proxy antwortet nicht</translation>
  </message>
  <message>
   <source>The server is not available</source>
   <translation>Der Server steht nicht zur Verfügung</translation>
  </message>
  <message>
   <source>The server behind the proxy takes too long</source>
   <translation>Der Server hinter dem Proxy braucht zu lange</translation>
  </message>
  <message>
   <source>The server answers with status {n}</source>
   <translation>Der Server antwortet mit dem Status {n}</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.volume</name>
  <message>
   <source>The volume is not a NumPy file.</source>
   <translation>Das Volumen ist keine NumPy-Datei.</translation>
  </message>
  <message>
   <source>The volume has data type {n}, not float32.</source>
   <translation>Das Volumen hat den Datentyp {n}, nicht float32.</translation>
  </message>
  <message>
   <source>The volume is incomplete.</source>
   <translation>Das Volumen ist unvollständig.</translation>
  </message>
  <message>
   <source>The volume is longer than it says.</source>
   <translation>Das Volumen ist länger, als es sagt.</translation>
  </message>
  <message>
   <source>The volume's place in space is damaged.</source>
   <translation>Die Lage des Volumens im Raum ist beschädigt.</translation>
  </message>
  <message>
   <source>The volume has the shape {x}.</source>
   <translation>Das Volumen hat die Form {x}.</translation>
  </message>
  <message>
   <source>The volume has {n} slices instead of {m}.</source>
   <translation>Das Volumen hat {n} Schichten statt {m}.</translation>
  </message>
  <message>
   <source>The volume holds values that are no numbers.</source>
   <translation>Das Volumen enthält Werte, die keine Zahlen sind.</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.worker</name>
  <message>
   <source>The generation failed.</source>
   <translation>Die Erzeugung ist fehlgeschlagen.</translation>
  </message>
  <message>
   <source>The job was cancelled on the server.</source>
   <translation>Der Auftrag wurde auf dem Server abgebrochen.</translation>
  </message>
 </context>
 <context>
  <name>xr2mri_client.writing</name>
  <message>
   <source>The disk of {folder} is full.</source>
   <translation>Die Platte von {folder} ist voll.</translation>
  </message>
  <message>
   <source>Make room, and try again.</source>
   <translation>Schaffen Sie Platz, und versuchen Sie es noch einmal.</translation>
  </message>
  <message>
   <source>{folder} cannot be written: {why}.</source>
   <translation>In {folder} kann nicht geschrieben werden: {why}.</translation>
  </message>
  <message>
   <source>Allow yourself to write there, or choose another folder.</source>
   <translation>Erlauben Sie sich, dort zu schreiben, oder wählen Sie einen anderen Ordner.</translation>
  </message>
 </context>
</TS>
